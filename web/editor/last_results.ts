// SPDX-License-Identifier: MIT
// Shows a workflow's last results again. The stock front end forgets what its nodes showed when the page is
// reloaded; the server still has it. So after a workflow was loaded the outputs of its newest successful job
// are put back into the nodes that show nothing.

/** What of `window.app` is used here (front end 1.58.1). */
export interface OutputsApp {
  readonly graph: { readonly id: string; setDirtyCanvas(foreground: boolean, background: boolean): void }
  nodeOutputs: Record<string, unknown>
}

/** GETs a path below /user/N/api; null unless the answer is JSON with status 200. */
export type FetchJson = (path: string) => Promise<unknown>

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined

/** The outputs (node id -> output) of the newest successful job of this workflow, or null. */
export async function lastOutputs(workflowId: string, fetchJson: FetchJson) {
  const query = new URLSearchParams({ status: 'completed', workflow_id: workflowId, limit: '1' })
  const jobs = field(await fetchJson(`/jobs?${query}`), 'jobs')
  const id = Array.isArray(jobs) ? field(jobs[0], 'id') : undefined
  if (typeof id !== 'string') return null
  const outputs = field(await fetchJson(`/jobs/${encodeURIComponent(id)}`), 'outputs')
  return typeof outputs === 'object' && outputs !== null ? { ...outputs } as Record<string, unknown> : null
}

/**
 * Gives a function that puts the last results of the open workflow into those of its nodes that show nothing
 * by then. It asks the server once per workflow and page: after that the front end remembers by itself.
 */
export function lastResults(app: OutputsApp, fetchJson: FetchJson): () => Promise<void> {
  const asked = new Set<string>()
  return async () => {
    const workflowId = app.graph.id
    if (!workflowId || asked.has(workflowId)) return
    asked.add(workflowId)
    const outputs = (await lastOutputs(workflowId, fetchJson)) ?? {}
    if (app.graph.id !== workflowId) return
    for (const [node, output] of Object.entries(outputs)) {
      if (!(node in app.nodeOutputs)) app.nodeOutputs[node] = output
    }
    app.graph.setDirtyCanvas(true, true)
  }
}
