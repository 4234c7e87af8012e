import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Environment } from './environment.ts';

const TRANSCRIPTS = join(import.meta.dirname, 'transcripts');

/**
 * A transcript is made of blocks: comments and commands, `----`, and what the commands print. The file is replayed and
 * must come out as it is; `npx vitest run test/scenario --update` writes what came out.
 */
function replay(text: string): string {
  const environment = new Environment();
  const blocks: string[] = [];
  let lines: string[] = [];
  let isOutput = false;
  const finish = () => {
    if (lines.length === 0) return;
    const commands = lines.filter(line => line !== '' && !line.startsWith('#'));
    if (commands.length === 0) {
      blocks.push(lines.join('\n'));
    } else {
      const output = commands.flatMap(command => environment.execute(command));
      blocks.push([...lines, '----', ...(output.length === 0 ? ['ok'] : output)].join('\n'));
    }
    lines = [];
  };
  for (const line of text.split('\n')) {
    if (line === '----') {
      finish();
      isOutput = true;
    } else if (line === '') {
      finish();
      isOutput = false;
    } else if (!isOutput) {
      lines.push(line);
    }
  }
  finish();
  return `${blocks.join('\n\n')}\n`;
}

describe('raft transcripts', () => {
  for (const file of readdirSync(TRANSCRIPTS).sort()) {
    it(`${file} is what happens`, async () => {
      const path = join(TRANSCRIPTS, file);
      await expect(replay(readFileSync(path, 'utf8'))).toMatchFileSnapshot(path);
    });
  }
});
