// SPDX-License-Identifier: MIT
// One participant's stock editor in a real browser, in the words of the person who uses it. Drawn nodes are
// not in the DOM: where they lie, and what they show, is asked of the front end's own window.app (1.58.1).
import assert from 'node:assert/strict'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { artefacts } from './server.ts'

interface Widget { name: string; value: unknown; y: number; computedHeight?: number }
interface GraphNode {
  id: string | number
  type: string
  pos: [number, number]
  size: [number, number]
  widgets?: Widget[]
  imgs?: HTMLImageElement[]
}
declare global {
  interface Window {
    app: {
      graph: { nodes: GraphNode[] }
      canvasPosToClientPos(position: [number, number]): [number, number]
      extensionManager: {
        spinner: boolean
        workflow: { activeWorkflow: { path: string; isModified: boolean; isPersisted: boolean } | null }
      }
    }
    atelierProgress: Record<string, string[]>
  }
}

export interface Picture { width: number; height: number; left: number[]; right: number[] }
export interface Job { id: string; status: string; outputs_count: number }

export class EditorPage {
  readonly page: Page
  readonly url: string
  readonly #foreign: string[] = []
  readonly #errors: string[] = []

  constructor(page: Page, origin: string, participant: number) {
    this.page = page
    this.url = `${origin}/user/${participant}/`
    const own = [origin, origin.replace(/^http/, 'ws'), 'data:', 'blob:', 'about:']
    const note = (url: string) => { if (!own.some((start) => url.startsWith(start))) this.#foreign.push(url) }
    page.on('request', (request) => note(request.url()))
    page.on('websocket', (socket) => note(socket.url()))
    page.on('pageerror', (error) => this.#errors.push(String(error)))
  }

  async open(): Promise<void> {
    await this.page.goto(this.url)
    await this.#ready()
  }

  async reload(): Promise<void> {
    await this.page.reload()
    await this.#ready()
  }

  async #ready(): Promise<void> {
    await this.page.waitForFunction(() => {
      const app = window.app
      return app?.graph?.nodes.length > 0 && app.extensionManager.workflow.activeWorkflow !== null &&
        !app.extensionManager.spinner && !document.querySelector('#splash-loader')
    }, null, { timeout: 60_000 })
  }

  /** Nothing that a participant must not meet: error dialogs, failing scripts, requests to other hosts. */
  async assertHealthy(): Promise<void> {
    const dialogs = this.page.locator('[role=dialog]:visible, [role=alertdialog]:visible')
    assert.deepEqual(await dialogs.allInnerTexts(), [], 'a dialog is open')
    assert.deepEqual(this.#errors, [], 'a script of the page failed')
    assert.deepEqual(this.#foreign, [], 'the page asked another host')
  }

  async nodeTypes(): Promise<string[]> {
    return this.page.evaluate(() => window.app.graph.nodes.map((node) => node.type).sort())
  }

  async openWorkflow() {
    return this.page.evaluate(() => {
      const active = window.app.extensionManager.workflow.activeWorkflow
      return active && { path: active.path, isModified: active.isModified, isPersisted: active.isPersisted }
    })
  }

  /** The picture that the LoadImage node names. */
  async loadedName(): Promise<unknown> {
    return this.page.evaluate(() => window.app.graph.nodes.find((node) => node.type === 'LoadImage')
      ?.widgets?.find((widget) => widget.name === 'image')?.value)
  }

  /** Clicks "choose file to upload" in the LoadImage node and gives the file chooser this picture. */
  async uploadPicture(name: string, png: Buffer): Promise<void> {
    const [x, y] = await this.page.evaluate(() => {
      const node = window.app.graph.nodes.find((each) => each.type === 'LoadImage')
      const button = node?.widgets?.find((widget) => widget.name === 'upload')
      if (!node || !button) throw new Error('no LoadImage node with an upload button')
      const middle = button.y + (button.computedHeight ?? 20) / 2
      return window.app.canvasPosToClientPos([node.pos[0] + node.size[0] / 2, node.pos[1] + middle])
    })
    const chooser = this.page.waitForEvent('filechooser')
    await this.page.mouse.move(x - 8, y)
    await this.page.mouse.move(x, y)
    await this.page.mouse.click(x, y)
    await (await chooser).setFiles({ name, mimeType: 'image/png', buffer: png })
    await this.page.waitForFunction((value) =>
      window.app.graph.nodes.find((node) => node.type === 'LoadImage')
        ?.widgets?.find((widget) => widget.name === 'image')?.value === value, name)
  }

  /** Presses Run and waits until the SaveImage node shows a picture; gives the states seen of each node. */
  async run(): Promise<Record<string, string[]>> {
    await this.page.evaluate(async () => {
      const states: Record<string, string[]> = (window.atelierProgress = {})
      const { api } = await import(new URL('scripts/api.js', location.href).href)
      api.addEventListener('progress_state', (event: CustomEvent) => {
        for (const [node, progress] of Object.entries<{ state: string }>(event.detail.nodes)) {
          const seen = (states[node] ??= [])
          if (seen.at(-1) !== progress.state) seen.push(progress.state)
        }
      })
    })
    await this.page.getByTestId('queue-button').click()
    await this.waitForResult()
    return this.page.evaluate(() => window.atelierProgress)
  }

  async waitForResult(): Promise<void> {
    await this.page.waitForFunction(() => {
      const picture = window.app.graph.nodes.find((node) => node.type === 'SaveImage')?.imgs?.[0]
      return picture?.complete && picture.naturalWidth > 0
    }, null, { timeout: 60_000 })
  }

  /** Size and two pixels (RGB, in the middle of each half) of what the SaveImage node shows. */
  async result(): Promise<Picture> {
    return this.page.evaluate(() => {
      const picture = window.app.graph.nodes.find((node) => node.type === 'SaveImage')?.imgs?.[0]
      if (!picture) throw new Error('the SaveImage node shows nothing')
      const { naturalWidth: width, naturalHeight: height } = picture
      const canvas = Object.assign(document.createElement('canvas'), { width, height })
      const context = canvas.getContext('2d')
      if (!context) throw new Error('no canvas')
      context.drawImage(picture, 0, 0)
      const pixel = (x: number) => [...context.getImageData(x, height >> 1, 1, 1).data.slice(0, 3)]
      return { width, height, left: pixel(width >> 2), right: pixel((width * 3) >> 2) }
    })
  }

  /** Opens the queue panel and gives what its list of jobs says. */
  async historyPanel(): Promise<string> {
    const list = this.page.getByTestId('job-assets-list')
    if (!(await list.isVisible())) await this.page.getByTestId('queue-overlay-toggle').click()
    await list.waitFor()
    return list.innerText()
  }

  async save(): Promise<void> {
    await this.page.keyboard.press('Control+s')
    await this.page.waitForFunction(() =>
      window.app.extensionManager.workflow.activeWorkflow?.isModified === false)
  }

  /** GET below the participant's own address, with the page's own session. */
  async get(path: string): Promise<{ status: number; body: unknown }> {
    return this.page.evaluate(async (url) => {
      const response = await fetch(url)
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.includes('json')
      return { status: response.status, body: isJson ? JSON.parse(text) : text }
    }, this.url + path)
  }

  async jobs(): Promise<Job[]> {
    const { body } = await this.get('api/jobs')
    return (body as { jobs: Job[] }).jobs
  }

  async screenshot(name: string): Promise<void> {
    await this.page.screenshot({ path: join(artefacts, `${name}.png`) })
  }
}

/** A PNG, painted by the browser: the left half red, the right half blue. */
export async function redAndBlue(page: Page, width: number, height: number): Promise<Buffer> {
  const url = await page.evaluate(([w, h]) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: w, height: h })
    const context = canvas.getContext('2d')
    if (!context) throw new Error('no canvas')
    context.fillStyle = '#f00'
    context.fillRect(0, 0, w / 2, h)
    context.fillStyle = '#00f'
    context.fillRect(w / 2, 0, w / 2, h)
    return canvas.toDataURL('image/png')
  }, [width, height] as const)
  return Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')
}
