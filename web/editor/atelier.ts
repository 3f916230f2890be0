// SPDX-License-Identifier: MIT
// Atelier's extension inside the stock front end, served as /user/N/extensions/atelier/atelier.js.
// Whatever it misses in a front end of another version, the editor itself goes on: one line in the console,
// no more.
import { app } from '../../scripts/app.js'
import { openNewestSavedAtStart } from './start.ts'

let reported = false
function report(error: unknown): void {
  if (reported) return
  reported = true
  console.warn('Atelier: the editor extension is not fully available', error)
}

app.registerExtension({
  name: 'Atelier',
  setup() {
    try {
      openNewestSavedAtStart(app, report)
    } catch (error) {
      report(error)
    }
  },
})
