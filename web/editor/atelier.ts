// SPDX-License-Identifier: MIT
// Atelier's extension inside the stock front end, served as /user/N/extensions/atelier/atelier.js.
// Whatever it misses in a front end of another version, the editor itself goes on: one line in the console.
import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { lastResults } from './last_results.ts'
import { openNewestSavedAtStart } from './start.ts'

let reported = false
function report(error: unknown): void {
  if (reported) return
  reported = true
  console.warn('Atelier: the editor extension is not fully available', error)
}

async function fetchJson(path: string): Promise<unknown> {
  const response = await api.fetchApi(path)
  return response.status === 200 ? response.json() : null
}

app.registerExtension({
  name: 'Atelier',
  setup() {
    try {
      openNewestSavedAtStart(app, report)
      const showResults = lastResults(app, fetchJson)
      const load = app.loadGraphData.bind(app)
      app.loadGraphData = async (...args) => {
        const loaded = await load(...args)
        showResults().catch(report)
        return loaded
      }
    } catch (error) {
      report(error)
    }
  },
})
