// SPDX-License-Identifier: MIT
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastResults, type OutputsApp } from './last_results.ts'

const saved = { images: [{ filename: 'a.png', subfolder: '', type: 'output' }] }
const answers = { '/jobs': { jobs: [{ id: 'j 1' }] }, '/jobs/j%201': { outputs: { 4: saved } } }
const graph = (id: string) => ({ id, setDirtyCanvas: () => {} })
const editor = (nodeOutputs: Record<string, unknown> = {}) => ({ graph: graph('w'), nodeOutputs })

function server(table: Record<string, unknown>, onAsk: () => void = () => {}) {
  const asked: string[] = []
  const fetchJson = async (path: string) => {
    asked.push(path)
    onAsk()
    return table[path.split('?')[0] ?? ''] ?? null
  }
  return { asked, fetchJson }
}

test('a loaded workflow shows the outputs of its newest successful job again, asked for once', async () => {
  const app: OutputsApp = editor({ 1: 'the picture that was loaded' })
  const { asked, fetchJson } = server(answers)
  const show = lastResults(app, fetchJson)
  await show()
  await show()
  assert.deepEqual(app.nodeOutputs, { 1: 'the picture that was loaded', 4: saved })
  assert.deepEqual(asked, ['/jobs?status=completed&workflow_id=w&limit=1', '/jobs/j%201'])
})

test('a run that gives a result meanwhile, or another workflow opened, wins', async () => {
  const running = editor()
  await lastResults(running, server(answers, () => (running.nodeOutputs[4] = 'new')).fetchJson)()
  assert.deepEqual(running.nodeOutputs, { 4: 'new' })
  const switched = editor()
  await lastResults(switched, server(answers, () => (switched.graph = graph('other'))).fetchJson)()
  assert.deepEqual(switched.nodeOutputs, {})
})

test('no job, or an answer of another shape, changes nothing', async () => {
  for (const strange of [{}, { '/jobs': { jobs: [] } }, { '/jobs': [] },
    { '/jobs': { jobs: [{ id: 5 }] } }]) {
    const app = editor()
    await lastResults(app, server(strange).fetchJson)()
    assert.deepEqual(app.nodeOutputs, {})
  }
})
