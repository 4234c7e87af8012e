// Runs a script of this folder: `node scripts/run.mjs kill-test --rounds 3`. Node 20 does not read TypeScript, so a load
// hook takes the types away file by file; paths and stack traces stay those of the sources.

import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { pathToFileURL } from 'node:url';

const [name, ...rest] = process.argv.slice(2);
const file = new URL(`./${name}.ts`, import.meta.url);
if (name === undefined || !existsSync(file)) {
  console.error(`usage: node scripts/run.mjs NAME [options], where scripts/NAME.ts exists`);
  process.exit(2);
}
register('./typescript-hook.mjs', import.meta.url);
process.setSourceMapsEnabled(true);
process.argv = [process.argv[0], file.pathname, ...rest];
await import(pathToFileURL(file.pathname).href);
