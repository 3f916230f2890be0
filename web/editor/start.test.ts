// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openNewestSavedAtStart, type EditorApp, type SavedWorkflow } from './start.ts'

function saved(path: string, lastModified: number, more: Partial<SavedWorkflow> = {}): SavedWorkflow {
  const activeState = { nodes: [path] }
  const load = async () => {}
  return { path, lastModified, isTemporary: false, isLoaded: true, activeState, load, ...more }
}

function editor(workflows: SavedWorkflow[], activeWorkflow: unknown = null) {
  const loads: unknown[][] = []
  const reports: unknown[] = []
  const app: EditorApp = {
    loadGraphData: async (...args) => void loads.push(args),
    extensionManager: { workflow: { activeWorkflow, workflows } },
  }
  openNewestSavedAtStart(app, (error) => reports.push(error))
  return { app, loads, reports }
}

test('with nothing to restore the newest saved workflow opens as itself', async () => {
  const welcome = saved('workflows/Welcome.json', 5)
  const latest = saved('workflows/mine.json', 9)
  const { app, loads } = editor([latest, welcome, saved('workflows/unsaved.json', 99, { isTemporary: true })])
  await app.loadGraphData()
  assert.deepEqual(loads, [[{ nodes: ['workflows/mine.json'] }, true, true, latest]])
})

test('without a saved workflow an empty canvas opens, not the built-in example', async () => {
  const { app, loads } = editor([])
  await app.loadGraphData()
  assert.deepEqual(Object(loads[0]?.[0]).nodes, [])
})

test('a workflow that cannot be read is reported and an empty canvas opens', async () => {
  const failure = new Error('gone')
  const broken = saved('workflows/Welcome.json', 5, { isLoaded: false, load: () => Promise.reject(failure) })
  const { app, loads, reports } = editor([broken])
  await app.loadGraphData()
  assert.deepEqual(reports, [failure])
  assert.deepEqual(Object(loads[0]?.[0]).nodes, [])
})

test('a call with a graph, or with a workflow open, goes through unchanged', async () => {
  const first = editor([saved('workflows/Welcome.json', 5)])
  await first.app.loadGraphData({ nodes: [1] }, true)
  assert.deepEqual(first.loads, [[{ nodes: [1] }, true]])
  const second = editor([saved('workflows/Welcome.json', 5)], { path: 'open' })
  await second.app.loadGraphData()
  assert.deepEqual(second.loads, [[undefined]])
})
