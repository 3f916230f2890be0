// SPDX-License-Identifier: MIT
// The classic script that the gateway puts into index.html before the front end's module. It runs before any
// code of the front end, gives this participant's page its own browser storage (see storage.ts), and does
// nothing else.
import { ownWindowName, participantPrefix, participantStorage } from './storage.ts'

const prefix = participantPrefix(window.location.pathname)
if (prefix !== null) {
  try {
    const { localStorage, sessionStorage } = window
    window.name = ownWindowName(sessionStorage, prefix, window.name)
    for (const [name, store] of Object.entries({ localStorage, sessionStorage })) {
      const value = participantStorage(store, prefix)
      Object.defineProperty(window, name, { value, configurable: true, enumerable: true })
    }
  } catch (error) {
    // A browser that forbids storage altogether shares nothing either.
    console.warn('Atelier: browser storage is not available', error)
  }
}
