// SPDX-License-Identifier: MIT
// The front end's modules scripts/app.js and scripts/api.js, as far as we use them (front end 1.58.1).
declare module '*/scripts/app.js' {
  export const app: import('../start.ts').EditorApp & import('../last_results.ts').OutputsApp & {
    registerExtension(extension: { name: string; setup?: () => void | Promise<void> }): void
  }
}
declare module '*/scripts/api.js' {
  export const api: { fetchApi(path: string): Promise<Response> }
}
