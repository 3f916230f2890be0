// SPDX-License-Identifier: MIT
// What a boot of the editor costs the network and the server: twenty people boot at once when a class begins.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { EditorPage } from './editor_page.ts'
import { artefacts, Server } from './server.ts'

const kFirstBytesMax = 6_000_000
const kSecondBytesMax = 100_000
const kSecondRequestsMax = 30 // that are answered neither by the browser's cache nor by 304

let server: Server
let browser: Browser

before(async () => {
  mkdirSync(artefacts, { recursive: true })
  server = await Server.create()
  await server.start()
  browser = await chromium.launch({
    executablePath: process.env['ATELIER_CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
  })
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
  let boot: Boot = { bytes: 0, requests: 0, answered: [] }
  const paths = new Map<string, string>()
  const cached = new Set<string>()
  session.on('Network.requestWillBeSent', (event) => {
    if (event.request.url.startsWith('http')) paths.set(event.requestId, new URL(event.request.url).pathname)
  })
  session.on('Network.requestServedFromCache', (event) => cached.add(event.requestId))
  session.on('Network.responseReceived', (event) => {
    const path = paths.get(event.requestId)
    if (path === undefined || event.response.fromDiskCache || cached.has(event.requestId)) return
    ++boot.requests
    if (event.response.status !== 304) boot.answered.push(path)
  })
  session.on('Network.loadingFinished', (event) => {
    if (paths.has(event.requestId) && !cached.has(event.requestId)) boot.bytes += event.encodedDataLength
  })
  return () => {
    const seen = boot
    boot = { bytes: 0, requests: 0, answered: [] }
    return seen
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
