// SPDX-License-Identifier: MIT
// The way to a worker's own ComfyUI in a real browser: the cookie of its session comes along after a link
// from another site, and what other sites and other ports of the same host ask for is refused.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { after, before, test } from 'node:test'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser } from './browser.ts'
import { artefacts, Server } from './server.ts'

let server: Server
let browser: Browser

before(async () => {
  mkdirSync(artefacts, { recursive: true })
  server = await Server.create()
  await server.start({ ENGINE_PAGES_LISTEN: 'localhost:0' })
  browser = await launchBrowser()
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

/** The URL of a ticket; asked without what a browser adds, so that this machine is the instructor. */
function ticketUrl(): Promise<URL> {
  const body = JSON.stringify({ use: 'engine', worker: 'rehearsal', slot: 0 })
  const headers = { 'Content-Type': 'application/json', 'Content-Length': body.length }
  return new Promise((resolve, reject) => {
    const asked = request(`${server.origin}/api/v1/tickets`, { method: 'POST', headers }, (answer) => {
      let text = ''
      answer.on('data', (piece: Buffer) => (text += piece.toString()))
      answer.on('end', () => {
        const made: unknown = JSON.parse(text)
        if (typeof made === 'object' && made !== null && 'url' in made && typeof made.url === 'string') {
          resolve(new URL(made.url))
        } else {
          reject(new Error(`no ticket: ${text}`))
        }
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

/** What a page is answered by another origin, with cookies: its scripts cannot see it, this test can. */
async function answerTo(page: Page, url: string): Promise<{ status: number; cookie: boolean }> {
  const answered = page.waitForResponse(url)
  await page.evaluate((target) => {
    void fetch(target, { mode: 'no-cors', credentials: 'include' })
  }, url)
  const response = await answered
  const sent = await response.request().allHeaders()
  return { status: response.status(), cookie: 'cookie' in sent }
}

/** A page of somebody else on this machine; gives its port. */
async function strangersPage(): Promise<number> {
  const pages = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<p>elsewhere'))
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
  pages.unref()
  const address = pages.address()
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

test('a link from another site opens the page, which then works as ever', async () => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${server.origin}/health`)
  const url = await ticketUrl()
  const home = `${url.origin}/`
  assert.notEqual(url.hostname, new URL(server.origin).hostname, 'two sites')
  const arrived = page.waitForResponse((response) => response.url() === home)
  await page.evaluate((target) => {
    const link = document.createElement('a')
    link.href = target
    document.body.append(link)
    link.click()
  }, url.href)
  assert.equal((await arrived).status(), 200)
  await page.waitForURL(home)
  assert.equal(await page.evaluate(async () => (await fetch('/system_stats')).status), 200)
  const first = await page.evaluate(
    () =>
      new Promise<string>((resolve, reject) => {
        const socket = new WebSocket(`ws://${location.host}/ws`)
        socket.onmessage = (message) => resolve(String(message.data))
        socket.onclose = () => reject(new Error('the socket was refused'))
      }),
  )
  assert.match(first, /"status"/)

  const port = await strangersPage()
  for (const host of ['127.0.0.1', 'localhost']) {
    const other = await context.newPage()
    await other.goto(`http://${host}:${port}/`)
    const answer = await answerTo(other, `${home}system_stats`)
    assert.equal(answer.status, 403, `asked for by a page of ${host}`)
    assert.equal(answer.cookie, host === 'localhost', 'another port of the same host is the same site')
    await other.close()
  }
  const again = await context.newPage()
  assert.equal((await again.goto(url.href))?.status(), 403, 'a ticket is for one use')
  await context.close()
})
