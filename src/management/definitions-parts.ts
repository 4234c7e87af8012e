import { SECTIONS } from './definitions.ts';

/** Of one part: what a node takes apart in a few milliseconds (R10). */
const PART_ENTRIES_MAX = 200;
const PART_LENGTH_MAX = 128 * 1024;

/** Cuts a document into documents, in an order in which they can be imported one after the other. */
export function* definitionParts(document: Readonly<Record<string, unknown>>): Generator<string> {
  const { rabbit_version, rabbitmq_version } = document;
  const versions = { rabbit_version, rabbitmq_version };
  const known: readonly string[] = SECTIONS;
  const others = Object.fromEntries(Object.entries(document).filter(([section]) => !known.includes(section)));
  for (const section of SECTIONS) {
    const entries = document[section];
    if (!Array.isArray(entries)) continue;
    let part: string[] = [];
    let length = 0;
    const finished = (): string => {
      const head = JSON.stringify(versions).slice(0, -1);
      const text = `${head}${head.length > 1 ? ',' : ''}"${section}":[${part.join(',')}]}`;
      part = [];
      length = 0;
      return text;
    };
    for (const entry of entries) {
      const text = JSON.stringify(entry);
      if (part.length === PART_ENTRIES_MAX || (part.length > 0 && length + text.length > PART_LENGTH_MAX)) {
        yield finished();
      }
      part.push(text);
      length += text.length;
    }
    if (part.length > 0) yield finished();
  }
  yield JSON.stringify(others);
}
