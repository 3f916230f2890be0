// SPDX-License-Identifier: MIT
// The server under test: `atelier up` on a free port with an empty data folder, started and stopped at will.
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '../..')
export const artefacts = join(process.env['ATELIER_ARTEFACTS'] ?? join(root, 'build/artefacts'), 'browser')
const binaries = process.env['ATELIER_BIN_DIR'] ?? join(root, 'build/release')
const kReadySecondsMax = 60
const kStopSecondsMax = 30

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (typeof address !== 'object' || address === null) throw new Error('no free port')
  return address.port
}

/** The first line that starts with `start`; fails when the output ends or the time is over before. */
async function lineOf(child: ChildProcess, start: string, log: NodeJS.WritableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no '${start}' in ${kReadySecondsMax} s`))
    const timer = setTimeout(late, kReadySecondsMax * 1000)
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue
      createInterface({ input: stream }).on('line', (line) => {
        log.write(line + '\n')
        if (line.startsWith(start)) {
          clearTimeout(timer)
          resolve(line)
        }
      })
    }
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`the server ended with code ${code} before it was ready; see ${artefacts}/server.log`))
    })
  })
}

export class Server {
  readonly data: string
  readonly origin: string
  readonly #port: number
  readonly #log = createWriteStream(join(artefacts, 'server.log'), { flags: 'a' })
  #child: ChildProcess | undefined

  private constructor(data: string, port: number) {
    this.data = data
    this.#port = port
    this.origin = `http://127.0.0.1:${port}`
  }

  static async create(): Promise<Server> {
    const folder = process.env['ATELIER_TEST_DIR'] ?? mkdtempSync(join(tmpdir(), 'atelier-browser-'))
    return new Server(join(folder, 'data'), await freePort())
  }

  async start(keys: Record<string, string> = {}): Promise<void> {
    const options = ['up', '--port', String(this.#port), '--data', this.data]
    const env = { ...process.env, ...keys }
    this.#child = spawn(join(binaries, 'atelier'), options, { stdio: ['ignore', 'pipe', 'pipe'], env })
    await lineOf(this.#child, 'ready ', this.#log)
  }

  /** Ctrl-C, and waits until it has ended; kills it if it does not. */
  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (!child || child.exitCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    const timer = setTimeout(() => child.kill('SIGKILL'), kStopSecondsMax * 1000)
    child.kill('SIGINT')
    await ended
    clearTimeout(timer)
    if (child.exitCode !== 0) throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}`)
  }
}
