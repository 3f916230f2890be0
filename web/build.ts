// SPDX-License-Identifier: MIT
// Builds the web parts:  node build.ts TARGET_FOLDER  writes
// TARGET_FOLDER/editor/{boot.js,atelier.js,welcome/...}.
import { cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const target = join(process.argv[2] ?? join(here, '../build/web'), 'editor')
mkdirSync(join(target, 'welcome'), { recursive: true })

const common = {
  bundle: true, minify: true, target: 'es2022', charset: 'utf8', logLevel: 'warning',
  banner: { js: '// SPDX-License-Identifier: MIT' },
} as const
await build({
  ...common, entryPoints: [join(here, 'editor/boot.ts')], outfile: join(target, 'boot.js'), format: 'iife',
})
await build({
  ...common, entryPoints: [join(here, 'editor/atelier.ts')], outfile: join(target, 'atelier.js'),
  format: 'esm', external: ['../../scripts/*'],
})
for (const name of ['welcome.png', 'Welcome.json']) {
  cpSync(join(here, 'editor/welcome', name), join(target, 'welcome', name))
}
