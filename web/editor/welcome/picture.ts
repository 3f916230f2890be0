// SPDX-License-Identifier: MIT
// Paints welcome.png, the sample picture of the first visit (ours, from nothing but arithmetic):
//   node web/editor/welcome/picture.ts     writes welcome.png beside this file; the result is committed.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'

const kWidth = 288
const kHeight = 192
// Every boot of an editor with the sample loads the picture up to three times: it must be small. Colours in
// steps of 4 take half the bytes, and nobody sees it.
const kStep = 4
const kScale = 768 / kWidth // the scene below is 768 wide
type Color = readonly [number, number, number]

const mix = (a: Color, b: Color, share: number): Color => {
  const t = Math.min(1, Math.max(0, share))
  return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

// From far to near: the height of the ridge line, and the colours at its crest and at its foot.
const { sin } = Math
const ridges: { line: (x: number) => number; depth: number; crest: Color; foot: Color }[] = [
  { line: (x) => 285 + 26 * sin(x / 97 + 0.6) + 9 * sin(x / 31),
    depth: 120, crest: [178, 150, 172], foot: [206, 172, 168] },
  { line: (x) => 325 + 30 * sin(x / 121 + 2.4) + 8 * sin(x / 43 + 1),
    depth: 120, crest: [122, 116, 148], foot: [160, 142, 154] },
  { line: (x) => 372 + 24 * sin(x / 143 + 4.4) + 7 * sin(x / 39 + 2),
    depth: 110, crest: [70, 84, 114], foot: [104, 108, 128] },
  { line: (x) => 432 + 20 * sin(x / 167 + 1.1) + 6 * sin(x / 47),
    depth: 90, crest: [32, 52, 72], foot: [18, 30, 46] },
]
const sun = { x: 540, y: 196, radius: 46 }

function pixel(x: number, y: number): Color {
  let color = mix([58, 92, 158], [250, 196, 150], y / 300)
  const distance = Math.hypot(x - sun.x, y - sun.y)
  color = mix(color, [255, 224, 170], 0.65 * Math.exp(-distance / 120))
  color = mix(color, [255, 244, 214], sun.radius + 0.5 - distance)
  for (const ridge of ridges) {
    const below = y - ridge.line(x)
    color = mix(color, mix(ridge.crest, ridge.foot, below / ridge.depth), below + 0.5)
  }
  return color
}

// PNG rows with filter 2 (difference to the row above): smooth gradients become runs of small numbers.
const rows = Buffer.alloc(kHeight * (kWidth * 3 + 1))
const line = (y: number): number[] =>
  Array.from({ length: kWidth }, (_, x) => pixel(kScale * x, kScale * y)).flat()
    .map((value) => Math.min(255, Math.round(value / kStep) * kStep))
let above: readonly number[] = new Array<number>(kWidth * 3).fill(0)
for (let y = 0; y < kHeight; ++y) {
  const now = line(y)
  const start = y * (kWidth * 3 + 1)
  rows[start] = 2
  now.forEach((value, index) => { rows[start + 1 + index] = (value - (above[index] ?? 0)) & 255 })
  above = now
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const frame = Buffer.alloc(8)
  frame.writeUInt32BE(data.length, 0)
  frame.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)])
}
const header = Buffer.alloc(13)
header.writeUInt32BE(kWidth, 0)
header.writeUInt32BE(kHeight, 4)
header.set([8, 2, 0, 0, 0], 8)
const png = Buffer.concat([
  Buffer.from('89504e470d0a1a0a', 'hex'),
  chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level: 9 })), chunk('IEND', Buffer.alloc(0)),
])
writeFileSync(join(import.meta.dirname, 'welcome.png'), png)
