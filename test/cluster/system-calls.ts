/**
 * Reads what `strace -f -ttt -T -yy -xx -o FILE` wrote. Each call has the time at which it was entered and the time at
 * which it had returned; a call that another thread's line interrupted is put together again from its two halves.
 */
export interface SystemCall {
  readonly name: string;
  /** What the first argument's descriptor stands for: a path, or `TCP:[local->remote]`. */
  readonly target: string;
  /** Seconds since 1970. */
  readonly entered: number;
  /** Infinity for a call that never returned. */
  readonly returned: number;
  readonly result: number;
  /** The bytes given to a write, as many as `result` says were taken; none for a large write of zeros. */
  readonly bytes: Uint8Array;
}

const LINE = /^(\d+)\s+(\d+\.\d+) (.*)$/s;
const UNFINISHED = / <unfinished \.\.\.>$/;
const RESUMED = /^<\.\.\. (\w+) resumed>(.*)$/;
const CALL = /^(\w+)\(\d+<(.*?)>[,)]/;
const RESULT = / = (-?\d+|\?)[^<]*(?:<(\d+\.\d+)>)?$/;
const STRING = /"([\\x0-9a-f]*)"(\.\.\.)?/g;

export class TruncatedTraceError extends Error {}

/** Takes a trace line by line: a traced journal that fills its spare files makes long ones. */
export class TraceParser {
  readonly calls: SystemCall[] = [];
  readonly #unfinished = new Map<string, { entered: number; text: string }>();

  push(line: string): void {
    const match = LINE.exec(line);
    if (match === null) return;
    const [, thread, time, rest] = match as unknown as [string, string, string, string];
    if (UNFINISHED.test(rest)) {
      this.#unfinished.set(thread, { entered: Number(time), text: rest.replace(UNFINISHED, '') });
      return;
    }
    const resumed = RESUMED.exec(rest);
    if (resumed === null) {
      add(this.calls, Number(time), rest);
      return;
    }
    const start = this.#unfinished.get(thread);
    this.#unfinished.delete(thread);
    if (start !== undefined) add(this.calls, start.entered, start.text + resumed[2]!);
  }
}

export function parseTrace(text: string): SystemCall[] {
  const parser = new TraceParser();
  for (const line of text.split('\n')) parser.push(line);
  return parser.calls;
}

function add(calls: SystemCall[], entered: number, text: string): void {
  const call = CALL.exec(text);
  const result = RESULT.exec(text);
  if (call === null || result === null) return;
  const value = result[1] === '?' ? -1 : Number(result[1]);
  const all = isZeros(text) ? NOTHING : bytesOf(text);
  calls.push({
    name: call[1]!,
    target: plain(call[2]!),
    entered,
    returned: result[2] === undefined ? Infinity : entered + Number(result[2]),
    result: value,
    bytes: value >= 0 && value < all.length ? all.subarray(0, value) : all,
  });
}

const NOTHING = new Uint8Array();
const isZeros = (text: string): boolean => text.length > 4_096 && !/\\x(?!00)/.test(text.slice(text.indexOf('"')));

/** The bytes of all quoted strings of a call, one after another: one for write, several for writev. */
function bytesOf(text: string): Uint8Array {
  const parts: string[] = [];
  for (const match of text.matchAll(STRING)) {
    if (match[2] !== undefined) throw new TruncatedTraceError('the trace holds a shortened string; -s must be larger');
    parts.push(match[1]!.replaceAll('\\x', ''));
  }
  return Uint8Array.from(Buffer.from(parts.join(''), 'hex'));
}

/** With -xx strace writes paths as escaped bytes too. */
const plain = (target: string): string =>
  target.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
