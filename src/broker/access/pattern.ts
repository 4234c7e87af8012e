import { unreachable } from '../../lib/assert.ts';
import {
  type Assertion,
  PATTERN_STEPS_MAX,
  type PatternNode,
  parsePattern,
  type UnitRanges,
} from './pattern-syntax.ts';

/** One step of a compiled pattern; `next` and the like are positions of other steps. */
type Step =
  | { readonly kind: 'units'; readonly ranges: UnitRanges; readonly negated: boolean; next: number }
  | { readonly kind: 'assertion'; readonly what: Assertion; next: number }
  | { readonly kind: 'ahead'; readonly program: number; readonly negated: boolean; next: number }
  | { readonly kind: 'fork'; next: number; other: number }
  | { readonly kind: 'found' };

interface Program {
  readonly steps: readonly Step[];
  readonly start: number;
  /** Steps that lead to this one without reading a character. */
  readonly before: readonly (readonly number[])[];
}

/**
 * A permission pattern. Like RabbitMQ's it matches when it is found anywhere in the name, and an empty one matches only
 * the empty name. Matching takes at most `PATTERN_STEPS_MAX` steps per character of the name, whatever the pattern: what an
 * operator writes, or imports, cannot hold the loop (R10).
 */
export class Pattern {
  readonly #programs: readonly Program[];
  readonly #matchesAll: boolean;

  private constructor(programs: readonly Program[], matchesAll: boolean) {
    this.#programs = programs;
    this.#matchesAll = matchesAll;
  }

  /** A pattern, or what is wrong with it. */
  static parse(text: string): Pattern | { readonly problem: string } {
    if (text === '.*' || text === '^.*') return new Pattern([], true);
    const node = parsePattern(text === '' ? '^$' : text);
    if ('problem' in node) return node;
    const compiler = new Compiler();
    if (!compiler.compile(node)) return { problem: `it has more than ${PATTERN_STEPS_MAX} steps` };
    return new Pattern(compiler.programs, false);
  }

  matches(name: string): boolean {
    if (this.#matchesAll) return true;
    const found: Uint8Array[] = [];
    for (const program of this.#programs) found.push(foundAt(program, name, found));
    return found.at(-1)!.includes(1);
  }
}

/** Turns the structure into steps, from the end to the beginning. Inner programs stand before those that use them. */
class Compiler {
  readonly programs: Program[] = [];
  #steps: Step[] = [];
  #count = 0;

  /** False: too many steps. */
  compile(node: PatternNode): boolean {
    const outer = this.#steps;
    this.#steps = [{ kind: 'found' }];
    const start = this.#add(node, 0);
    const steps = this.#steps;
    this.#steps = outer;
    if (start === undefined) return false;
    this.programs.push({ steps, start, before: linksBack(steps) });
    return true;
  }

  /** The step at which `node`, followed by `next`, begins; undefined when there is no room. */
  #add(node: PatternNode, next: number): number | undefined {
    switch (node.kind) {
      case 'units':
        return this.#push({ kind: 'units', ranges: node.ranges, negated: node.negated, next });
      case 'assertion':
        return this.#push({ kind: 'assertion', what: node.what, next });
      case 'sequence':
        return node.items.reduceRight<number | undefined>(
          (after, item) => (after === undefined ? undefined : this.#add(item, after)),
          next,
        );
      case 'choice':
        return this.#choice(node.items, next);
      case 'repeat':
        return this.#repeat(node, next);
      case 'ahead':
        if (!this.compile(node.item)) return undefined;
        return this.#push({ kind: 'ahead', program: this.programs.length - 1, negated: node.negated, next });
      default:
        return unreachable(node);
    }
  }

  #choice(items: readonly PatternNode[], next: number): number | undefined {
    let start: number | undefined;
    for (const item of items) {
      const one = this.#add(item, next);
      if (one === undefined) return undefined;
      start = start === undefined ? one : this.#push({ kind: 'fork', next: start, other: one });
      if (start === undefined) return undefined;
    }
    return start;
  }

  #repeat({ item, min, max }: PatternNode & { readonly kind: 'repeat' }, next: number): number | undefined {
    let start: number | undefined = next;
    if (max === undefined) {
      const fork: Step = { kind: 'fork', next, other: next };
      start = this.#push(fork);
      if (start === undefined) return undefined;
      const body = this.#add(item, start);
      if (body === undefined) return undefined;
      fork.other = body;
    } else {
      for (let i = min; i < max && start !== undefined; i++) {
        const body = this.#add(item, start);
        start = body === undefined ? undefined : this.#push({ kind: 'fork', next, other: body });
      }
    }
    for (let i = 0; i < min && start !== undefined; i++) start = this.#add(item, start);
    return start;
  }

  #push(step: Step): number | undefined {
    if (++this.#count > PATTERN_STEPS_MAX) return undefined;
    return this.#steps.push(step) - 1;
  }
}

function linksBack(steps: readonly Step[]): number[][] {
  const before: number[][] = steps.map(() => []);
  steps.forEach((step, i) => {
    if (step.kind === 'found' || step.kind === 'units') return;
    before[step.next]!.push(i);
    if (step.kind === 'fork') before[step.other]!.push(i);
  });
  return before;
}

/**
 * For every position of the name whether the program is found from there. From the last position to the first: a step leads
 * to the end if the step behind it does, one character further. `inner` holds the answers of the programs before this one.
 */
function foundAt(program: Program, name: string, inner: readonly Uint8Array[]): Uint8Array {
  const { steps, start, before } = program;
  const found = new Uint8Array(name.length + 1);
  let leads = new Uint8Array(steps.length);
  let after = new Uint8Array(steps.length);
  const work: number[] = [];
  for (let at = name.length; at >= 0; at--) {
    const swapped = after;
    after = leads;
    leads = swapped.fill(0);
    const unit = name.charCodeAt(at);
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!;
      const isHere =
        step.kind === 'found' ||
        (step.kind === 'units' &&
          at < name.length &&
          after[step.next] === 1 &&
          includes(step.ranges, unit) !== step.negated);
      if (!isHere) continue;
      leads[i] = 1;
      work.push(i);
    }
    for (let i = work.pop(); i !== undefined; i = work.pop()) {
      for (const earlier of before[i]!) {
        if (leads[earlier] === 1 || !mayPass(steps[earlier]!, name, at, inner)) continue;
        leads[earlier] = 1;
        work.push(earlier);
      }
    }
    found[at] = leads[start]!;
  }
  return found;
}

function mayPass(step: Step, name: string, at: number, inner: readonly Uint8Array[]): boolean {
  if (step.kind === 'assertion') return holds(step.what, name, at);
  if (step.kind === 'ahead') return (inner[step.program]![at] === 1) !== step.negated;
  return true;
}

function holds(what: Assertion, name: string, at: number): boolean {
  const isEnd = at === name.length;
  switch (what) {
    case 'start':
      return at === 0;
    case 'very-end':
      return isEnd;
    case 'end':
      return isEnd || (at === name.length - 1 && name[at] === '\n');
    case 'line-start':
      return at === 0 || (name[at - 1] === '\n' && !isEnd);
    case 'line-end':
      return isEnd || name[at] === '\n';
    case 'word-edge':
      return isWord(name, at - 1) !== isWord(name, at);
    case 'no-word-edge':
      return isWord(name, at - 1) === isWord(name, at);
    default:
      return unreachable(what);
  }
}

const isWord = (name: string, at: number): boolean => /\w/.test(name[at] ?? '');

function includes(ranges: UnitRanges, unit: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (unit >= ranges[i]! && unit <= ranges[i + 1]!) return true;
  return false;
}
