// SPDX-License-Identifier: MIT
// What a boot of the editor costs the network and the server: twenty people boot at once when a class begins.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser } from './browser.ts'
import { EditorPage } from './editor_page.ts'
import { artefacts, Server } from './server.ts'

const kFirstBytesMax = 6_000_000
const kSecondBytesMax = 100_000
const kSecondRequestsMax = 30 // that reach a handler: no 304, and no file, which the server has in memory

let server: Server
let browser: Browser

before(async () => {
  mkdirSync(artefacts, { recursive: true })
  server = await Server.create()
  await server.start()
  browser = await launchBrowser()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

interface Boot { bytes: number; requests: number; answered: string[] }

/** Counts what goes over the wire from now on. */
async function watch(page: Page): Promise<() => Boot> {
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  const paths = new Map<string, string>()
  const statuses = new Map<string, number>() // as they came over the wire, also 304
  const sizes = new Map<string, number>()
  const cached = new Set<string>()
  session.on('Network.requestWillBeSent', (event) => {
    if (event.request.url.startsWith('http')) paths.set(event.requestId, new URL(event.request.url).pathname)
  })
  session.on('Network.requestServedFromCache', (event) => cached.add(event.requestId))
  // Comes before or after the others; without it nothing came over the wire.
  session.on('Network.responseReceivedExtraInfo', (event) => statuses.set(event.requestId, event.statusCode))
  session.on('Network.loadingFinished', (event) => sizes.set(event.requestId, event.encodedDataLength))
  return () => {
    const boot: Boot = { bytes: 0, requests: 0, answered: [] }
    for (const [id, path] of paths) {
      if (cached.has(id) || !statuses.has(id)) continue
      ++boot.requests
      boot.bytes += sizes.get(id) ?? 0
      const isFile = !path.includes('/api/') && !path.endsWith('/')
      if (statuses.get(id) !== 304 && !isFile) boot.answered.push(path)
    }
    for (const seen of [paths, statuses, sizes, cached]) seen.clear()
    return boot
  }
}

test('a first boot travels as less than 6 MB, a second one as less than 100 KB', async () => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  const taken = await watch(page)
  const editor = new EditorPage(page, server.origin, 1)
  await editor.open()
  await page.waitForLoadState('networkidle')
  const first = taken()
  await editor.reload()
  await page.waitForLoadState('networkidle')
  const second = taken()
  const answered = second.answered.join(' ')
  console.log(`first boot: ${first.bytes} bytes, ${first.requests} requests`)
  console.log(`second: ${second.bytes} bytes, ${second.requests} requests, with content ${answered}`)
  assert.ok(first.bytes < kFirstBytesMax, `${first.bytes} bytes at the first boot`)
  assert.ok(second.bytes < kSecondBytesMax, `${second.bytes} bytes at the second boot`)
  assert.ok(second.answered.length < kSecondRequestsMax, `answered with content: ${answered}`)
  await editor.assertHealthy()
})
