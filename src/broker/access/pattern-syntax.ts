/**
 * The syntax of permission patterns: that part of PCRE, the language of RabbitMQ's permissions, for which matching takes a
 * time that is linear in the name. What would need backtracking (back references, recursion, atomic groups) is refused.
 */
export const PATTERN_LENGTH_MAX = 1_000;
/** Steps of a pattern once its repetitions are written out. One match takes at most so many steps per character. */
export const PATTERN_STEPS_MAX = 1_000;
const DEPTH_MAX = 50;
const UNBOUNDED = -1;

/** UTF-16 units in ascending ranges: from, to, from, to ... */
export type UnitRanges = readonly number[];

export type Assertion = 'start' | 'end' | 'very-end' | 'line-start' | 'line-end' | 'word-edge' | 'no-word-edge';

export type PatternNode =
  | { readonly kind: 'units'; readonly ranges: UnitRanges; readonly negated: boolean }
  | { readonly kind: 'assertion'; readonly what: Assertion }
  | { readonly kind: 'sequence'; readonly items: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly items: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly item: PatternNode; readonly min: number; readonly max: number | undefined }
  | { readonly kind: 'ahead'; readonly item: PatternNode; readonly negated: boolean };

/** Refusal of a pattern, with the position at which it happened. Caught by `parsePattern`. */
class PatternProblem extends Error {}

interface Flags {
  readonly ignoreCase: boolean;
  readonly multiLine: boolean;
  readonly dotAll: boolean;
}

const CLASSES: Readonly<Record<string, UnitRanges>> = {
  d: [48, 57],
  w: [48, 57, 65, 90, 95, 95, 97, 122],
  s: [9, 13, 32, 32],
  h: [9, 9, 32, 32],
};
const POSIX: Readonly<Record<string, UnitRanges>> = {
  alnum: [48, 57, 65, 90, 97, 122],
  alpha: [65, 90, 97, 122],
  blank: [9, 9, 32, 32],
  cntrl: [0, 31, 127, 127],
  digit: [48, 57],
  graph: [33, 126],
  lower: [97, 122],
  print: [32, 126],
  punct: [33, 47, 58, 64, 91, 96, 123, 126],
  space: [9, 13, 32, 32],
  upper: [65, 90],
  word: [48, 57, 65, 90, 95, 95, 97, 122],
  xdigit: [48, 57, 65, 70, 97, 102],
};
const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, f: 12, e: 27, a: 7 };
const NEW_LINE: UnitRanges = [10, 10];

/** The pattern's structure, or what is wrong with it. */
export function parsePattern(pattern: string): PatternNode | { readonly problem: string } {
  if (pattern.length > PATTERN_LENGTH_MAX) {
    return { problem: `it has ${pattern.length} characters; at most ${PATTERN_LENGTH_MAX}` };
  }
  try {
    return new Parser(pattern).parse();
  } catch (error) {
    if (error instanceof PatternProblem) return { problem: error.message };
    throw error;
  }
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false };

  constructor(text: string) {
    this.#text = text;
  }

  parse(): PatternNode {
    const node = this.#choice();
    if (this.#at < this.#text.length) this.#fail('unmatched )');
    return node;
  }

  /** Flags that are set inside a group end with it. */
  #choice(): PatternNode {
    if (++this.#depth > DEPTH_MAX) this.#fail(`groups nested deeper than ${DEPTH_MAX}`);
    const flags = this.#flags;
    const items = [this.#sequence()];
    while (this.#take('|')) items.push(this.#sequence());
    this.#flags = flags;
    this.#depth--;
    return items.length === 1 ? items[0]! : { kind: 'choice', items };
  }

  #sequence(): PatternNode {
    const items: PatternNode[] = [];
    while (this.#at < this.#text.length && this.#peek() !== '|' && this.#peek() !== ')') {
      const item = this.#atom();
      if (item !== undefined) items.push(this.#repeated(item));
    }
    return items.length === 1 ? items[0]! : { kind: 'sequence', items };
  }

  #repeated(first: PatternNode): PatternNode {
    let item = first;
    for (;;) {
      const bounds = this.#bounds();
      if (bounds === undefined) return item;
      const [min, max] = bounds;
      item = { kind: 'repeat', item, min, max: max === UNBOUNDED ? undefined : max };
      // A lazy repetition finds the same names; a possessive one does not.
      if (this.#take('?')) continue;
      if (this.#peek() === '+') this.#fail('possessive repetitions are not supported');
    }
  }

  /** `{` that does not begin a repetition is a character. */
  #bounds(): readonly [min: number, max: number] | undefined {
    if (this.#take('*')) return [0, UNBOUNDED];
    if (this.#take('+')) return [1, UNBOUNDED];
    if (this.#take('?')) return [0, 1];
    const found = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.#text.slice(this.#at, this.#at + 12));
    if (found === null) return undefined;
    this.#at += found[0].length;
    const min = Number(found[1]);
    const max = found[2] === undefined ? min : found[3] === '' ? UNBOUNDED : Number(found[3]);
    if (max !== UNBOUNDED && max < min) this.#fail('numbers out of order in {} quantifier');
    return [min, max];
  }

  #atom(): PatternNode | undefined {
    const character = this.#next();
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '.':
        return this.#flags.dotAll ? units([], true) : units(NEW_LINE, true);
      case '^':
        return { kind: 'assertion', what: this.#flags.multiLine ? 'line-start' : 'start' };
      case '$':
        return { kind: 'assertion', what: this.#flags.multiLine ? 'line-end' : 'end' };
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        return this.#fail('nothing to repeat');
      default:
        return this.#unit(character.charCodeAt(0));
    }
  }

  /** Undefined: it has only set flags. */
  #group(): PatternNode | undefined {
    if (!this.#take('?')) return this.#closed(this.#choice());
    if (this.#take(':')) return this.#closed(this.#choice());
    const isAhead = this.#peek() === '=' || this.#peek() === '!';
    if (isAhead) {
      const negated = this.#next() === '!';
      return { kind: 'ahead', item: this.#closed(this.#choice()), negated };
    }
    const rest = this.#text.slice(this.#at);
    const named = /^P?<([A-Za-z_]\w*)>/.exec(rest);
    if (named !== null) {
      this.#at += named[0].length;
      return this.#closed(this.#choice());
    }
    const flags = /^([ims]*)(-[ims]*)?([:)])/.exec(rest);
    if (flags === null) return this.#fail('this kind of group is not supported');
    this.#at += flags[0].length;
    const before = this.#flags;
    this.#flags = changed(before, flags[1]!, flags[2] ?? '');
    if (flags[3] === ')') return undefined;
    const inner = this.#closed(this.#choice());
    this.#flags = before;
    return inner;
  }

  #closed(node: PatternNode): PatternNode {
    if (!this.#take(')')) this.#fail('missing )');
    return node;
  }

  #escape(): PatternNode {
    if (this.#at >= this.#text.length) this.#fail('\\ at end of pattern');
    const character = this.#next();
    switch (character) {
      case 'b':
        return { kind: 'assertion', what: 'word-edge' };
      case 'B':
        return { kind: 'assertion', what: 'no-word-edge' };
      case 'A':
        return { kind: 'assertion', what: 'start' };
      case 'Z':
        return { kind: 'assertion', what: 'end' };
      case 'z':
        return { kind: 'assertion', what: 'very-end' };
      default: {
        const known = classOf(character);
        if (known !== undefined) return units(known.ranges, known.negated);
        return this.#unit(this.#escapedUnit(character));
      }
    }
  }

  #escapedUnit(character: string): number {
    const control = CONTROL[character];
    if (control !== undefined) return control;
    if (character === 'x') {
      const found = /^([0-9A-Fa-f]{2})|^\{([0-9A-Fa-f]{1,4})\}/.exec(this.#text.slice(this.#at, this.#at + 6));
      if (found === null) this.#fail('\\x must be followed by two hexadecimal digits or {...}');
      this.#at += found![0].length;
      return Number.parseInt(found![1] ?? found![2]!, 16);
    }
    if (/[A-Za-z0-9]/.test(character)) this.#fail(`\\${character} is not supported`);
    return character.charCodeAt(0);
  }

  #class(): PatternNode {
    const negated = this.#take('^');
    const ranges: number[] = [];
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      if (this.#at >= this.#text.length) this.#fail('missing terminating ] for character class');
      this.#classItem(ranges);
    }
    this.#at++;
    return units(this.#flags.ignoreCase ? bothCases(ranges) : ranges, negated);
  }

  #classItem(ranges: number[]): void {
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#text.slice(this.#at, this.#at + 12));
    if (posix !== null) {
      const known = POSIX[posix[2]!];
      if (known === undefined) this.#fail('unknown POSIX class name');
      this.#at += posix[0].length;
      ranges.push(...(posix[1] === '^' ? complement(known!) : known!));
      return;
    }
    const from = this.#classUnit(ranges);
    if (from === undefined) return;
    if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']' || this.#at + 1 >= this.#text.length) {
      ranges.push(from, from);
      return;
    }
    this.#at++;
    const to = this.#classUnit(ranges);
    if (to === undefined) ranges.push(from, from, 45, 45);
    else if (to < from) this.#fail('range out of order in character class');
    else ranges.push(from, to);
  }

  /** Undefined: it was a class of its own, such as \d, and stands in `ranges`. */
  #classUnit(ranges: number[]): number | undefined {
    const character = this.#next();
    if (character !== '\\') return character.charCodeAt(0);
    if (this.#at >= this.#text.length) this.#fail('missing terminating ] for character class');
    const escaped = this.#next();
    if (escaped === 'b') return 8;
    const known = classOf(escaped);
    if (known === undefined) return this.#escapedUnit(escaped);
    ranges.push(...(known.negated ? complement(known.ranges) : known.ranges));
    return undefined;
  }

  #unit(unit: number): PatternNode {
    return units(this.#flags.ignoreCase ? bothCases([unit, unit]) : [unit, unit], false);
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #next(): string {
    return this.#text[this.#at++]!;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #fail(what: string): never {
    throw new PatternProblem(`${what} at character ${this.#at}`);
  }
}

const units = (ranges: UnitRanges, negated: boolean): PatternNode => ({ kind: 'units', ranges, negated });

function classOf(letter: string): { readonly ranges: UnitRanges; readonly negated: boolean } | undefined {
  const ranges = CLASSES[letter.toLowerCase()];
  return ranges === undefined ? undefined : { ranges, negated: letter !== letter.toLowerCase() };
}

function changed(flags: Flags, on: string, off: string): Flags {
  const value = (letter: string, before: boolean): boolean =>
    off.includes(letter) ? false : on.includes(letter) || before;
  return {
    ignoreCase: value('i', flags.ignoreCase),
    multiLine: value('m', flags.multiLine),
    dotAll: value('s', flags.dotAll),
  };
}

/** What is not in ascending, separate ranges. */
function complement(ranges: UnitRanges): number[] {
  const rest: number[] = [];
  let from = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if (ranges[i]! > from) rest.push(from, ranges[i]! - 1);
    from = ranges[i + 1]! + 1;
  }
  if (from <= 0xffff) rest.push(from, 0xffff);
  return rest;
}

/** With the other case of every ASCII letter, as PCRE does without Unicode. */
function bothCases(ranges: UnitRanges): number[] {
  const all = [...ranges];
  for (let i = 0; i < ranges.length; i += 2) {
    addShifted(all, Math.max(ranges[i]!, 65), Math.min(ranges[i + 1]!, 90), 32);
    addShifted(all, Math.max(ranges[i]!, 97), Math.min(ranges[i + 1]!, 122), -32);
  }
  return all;
}

function addShifted(ranges: number[], from: number, to: number, by: number): void {
  if (from <= to) ranges.push(from + by, to + by);
}
