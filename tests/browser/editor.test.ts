// SPDX-License-Identifier: MIT
// The main job in a real browser: the stock front end at /user/1/, from the first visit to the picture in the
// canvas, through a reload and a restart of everything; and another participant who sees nothing of it.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Browser, BrowserContext } from 'playwright-core'
import { launchBrowser } from './browser.ts'
import { EditorPage, redAndBlue } from './editor_page.ts'
import { artefacts, Server } from './server.ts'

const kViewport = { width: 1440, height: 900 }
const kWelcome = ['ImageInvert', 'ImageScale', 'LoadImage', 'MarkdownNote', 'SaveImage']
const kInverted = { width: 480, height: 320, left: [0, 255, 255], right: [255, 255, 0] }

let server: Server
let browser: Browser
let context: BrowserContext
let first: EditorPage

before(async () => {
  mkdirSync(artefacts, { recursive: true })
  server = await Server.create()
  await server.start()
  browser = await launchBrowser()
  context = await browser.newContext({ viewport: kViewport })
  context.setDefaultTimeout(30_000)
  first = new EditorPage(await context.newPage(), server.origin, 1)
})

after(async () => {
  await first?.screenshot('last').catch(() => {})
  await browser?.close()
  await server?.stop()
})

test('the first visit opens the welcome workflow with its sample picture', async () => {
  await first.open()
  assert.deepEqual(await first.nodeTypes(), kWelcome)
  assert.equal((await first.openWorkflow())?.path, 'workflows/Welcome.json')
  assert.equal(await first.loadedName(), 'welcome.png')
  assert.equal((await first.get('api/view?filename=welcome.png&type=input')).status, 200)
  await first.assertHealthy()
  await first.screenshot('1-first-visit')
})

test('an uploaded picture runs through the nodes and comes back in the SaveImage node', async () => {
  await first.uploadPicture('mine.png', await redAndBlue(first.page, 96, 64))
  const states = await first.run()
  assert.deepEqual(await first.result(), kInverted)
  const seen = JSON.stringify(states)
  assert.ok(Object.values(states).some((each) => each.includes('running')), `progress on the nodes: ${seen}`)
  await first.assertHealthy()
  await first.screenshot('2-result')
})

test('the picture lies in the participant\'s own folder', () => {
  const file = readFileSync(join(server.data, 'participants/1/output/welcome_00001_.png'))
  assert.equal(file.subarray(0, 8).toString('hex'), '89504e470d0a1a0a')
  assert.ok(file.includes('ImageInvert'), 'the prompt and the workflow lie in the PNG')
})

test('after a reload workflow, history and result are still there', async () => {
  await first.save()
  await first.reload()
  assert.equal(await first.loadedName(), 'mine.png')
  await first.waitForResult()
  assert.deepEqual(await first.result(), kInverted)
  assert.match(await first.historyPanel(), /welcome_00001_/)
  assert.deepEqual((await first.jobs()).map((job) => job.status), ['completed'])
  await first.assertHealthy()
  await first.screenshot('3-after-reload')
})

test('another participant sees nothing of it, in the same browser', async () => {
  const second = new EditorPage(await context.newPage(), server.origin, 2)
  await second.open()
  assert.deepEqual(await second.nodeTypes(), kWelcome)
  assert.equal(await second.loadedName(), 'welcome.png')
  assert.deepEqual(await second.jobs(), [])
  assert.equal((await second.get('api/view?filename=mine.png&type=input')).status, 404)
  assert.equal((await second.get('api/view?filename=welcome_00001_.png&type=output')).status, 404)
  const keys = await second.page.evaluate(() => JSON.stringify({ ...localStorage }) + window.name)
  assert.ok(!keys.includes('mine.png'), 'drafts of the first participant are visible')
  await second.assertHealthy()
  await second.screenshot('4-second-participant')
  await second.page.close()
})

test('after a restart, in a browser that knows nothing, output, history and workflow are there', async () => {
  await context.close()
  await server.stop()
  await server.start()
  context = await browser.newContext({ viewport: kViewport })
  context.setDefaultTimeout(30_000)
  first = new EditorPage(await context.newPage(), server.origin, 1)
  await first.open()
  assert.equal((await first.openWorkflow())?.path, 'workflows/Welcome.json')
  assert.equal(await first.loadedName(), 'mine.png')
  await first.waitForResult()
  assert.deepEqual(await first.result(), kInverted)
  assert.match(await first.historyPanel(), /welcome_00001_/)
  await first.assertHealthy()
  await first.screenshot('5-after-restart')
})
