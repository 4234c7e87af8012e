import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/** A line of standard input: asked for without echo on a terminal, otherwise whatever a program writes. Empty: nothing was said. */
export function readPassword(question: string): Promise<string> {
  return process.stdin.isTTY ? askOnTerminal(question) : readLine();
}

/** Twice on a terminal, where nobody sees what is typed; undefined when the two differ. */
export async function readNewPassword(user: string): Promise<string | undefined> {
  const password = await readPassword(`New password of ${user}: `);
  if (!process.stdin.isTTY) return password;
  return (await readPassword('Once more: ')) === password ? password : undefined;
}

function askOnTerminal(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise(resolve => {
    lines.once('close', () => {
      process.stderr.write('\n');
      resolve('');
    });
    lines.once('line', line => {
      resolve(line);
      lines.close();
    });
  });
}

/** The first one. What is behind it stays for whoever reads next. */
async function readLine(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return text.split(/\r?\n/, 1)[0]!;
}
