// SPDX-License-Identifier: MIT
// The front end's module scripts/app.js, as far as we use it (front end 1.58.1).
declare module '*/scripts/app.js' {
  export const app: import('../start.ts').EditorApp & {
    registerExtension(extension: { name: string; setup?: () => void | Promise<void> }): void
  }
}
