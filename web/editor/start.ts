// SPDX-License-Identifier: MIT
// What a participant sees first. When the front end finds nothing to restore in the browser it opens its
// built-in example, which needs a model; here it opens the participant's newest saved workflow instead: on
// the first visit that is Welcome.json, later, in another browser, their own latest work. Without any it
// opens an empty canvas.

/** A saved workflow as the front end's workflow store lists it (front end 1.58.1). */
export interface SavedWorkflow {
  readonly path: string
  readonly lastModified: number
  readonly isTemporary: boolean
  readonly isLoaded: boolean
  readonly activeState: unknown
  load(): Promise<unknown>
}

/** What of `window.app` is used here. */
export interface EditorApp {
  loadGraphData(graph?: unknown, ...rest: unknown[]): Promise<unknown>
  readonly extensionManager: {
    readonly workflow: { readonly activeWorkflow: unknown; readonly workflows: readonly SavedWorkflow[] }
  }
}

const emptyGraph = () => ({
  last_node_id: 0, last_link_id: 0, nodes: [], links: [], groups: [], config: {}, extra: {}, version: 0.4,
})

/** The workflow that was saved last, or null. */
export function newestSaved(workflows: readonly SavedWorkflow[]): SavedWorkflow | null {
  return workflows
    .filter((workflow) => !workflow.isTemporary)
    .reduce<SavedWorkflow | null>(
      (best, next) => (best && best.lastModified >= next.lastModified ? best : next), null)
}

/**
 * Replaces the built-in example at start: a call of `loadGraphData` without a graph while no workflow is
 * open. Every other call goes through unchanged. A failure is given to `report` and ends with an empty
 * canvas.
 */
export function openNewestSavedAtStart(app: EditorApp, report: (error: unknown) => void): void {
  const load = app.loadGraphData.bind(app)
  app.loadGraphData = async (graph, ...rest) => {
    const store = app.extensionManager.workflow
    if (graph !== undefined || store.activeWorkflow) return load(graph, ...rest)
    const saved = newestSaved(store.workflows)
    if (saved) {
      try {
        if (!saved.isLoaded) await saved.load()
        const state: unknown = JSON.parse(JSON.stringify(saved.activeState))
        return await load(state, true, true, saved)
      } catch (error) {
        report(error)
      }
    }
    return load(emptyGraph())
  }
}
