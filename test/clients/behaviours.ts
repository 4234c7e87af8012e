/**
 * What every client program of this folder shows, in its own language and with its own library's way of saying it. A program
 * gets the URLs of three nodes as arguments and prints one line for each behaviour: `ok NAME` or `failed NAME: REASON`. Nothing
 * printed for a behaviour is a failure too.
 */
export const BEHAVIOURS: readonly string[] = [
  'publish-through-one-node-consume-through-another',
  'properties-and-headers-come-back',
  'an-unroutable-mandatory-message-is-returned',
  'a-requeued-message-is-redelivered',
  'prefetch-bounds-what-is-unacknowledged',
  'errors-have-the-codes-and-texts-that-clients-match',
  'exchanges-route-by-their-type',
  'counts-purge-and-delete',
  'a-consumer-hears-that-its-queue-is-gone',
  'a-message-of-four-mebibytes-passes',
  'what-a-cancelled-consumer-holds-can-be-acknowledged',
  'recover-brings-back-what-is-unacknowledged',
  'an-exclusive-consumer-keeps-others-out',
  'an-auto-delete-queue-goes-with-its-last-consumer',
  'a-queue-in-use-or-with-messages-is-not-deleted-on-condition',
  'a-transaction-is-all-or-nothing',
  'an-exchange-passes-on-to-a-bound-exchange',
  'an-alternate-exchange-takes-what-has-no-route',
  'a-request-is-answered-through-direct-reply-to',
  'a-stream-is-read-from-its-first-message-twice',
];

/** The list without what a library has no way to ask for. */
export const behavioursWithout = (...missing: readonly string[]): readonly string[] =>
  BEHAVIOURS.filter(behaviour => !missing.includes(behaviour));

export interface BehaviourResult {
  readonly behaviour: string;
  /** Undefined: it holds. */
  readonly failure: string | undefined;
}

/** One result for each behaviour, whatever the program printed. */
export function readResults(output: string, behaviours: readonly string[]): BehaviourResult[] {
  const lines = output.split('\n');
  return behaviours.map(behaviour => {
    if (lines.includes(`ok ${behaviour}`)) return { behaviour, failure: undefined };
    const line = lines.find(candidate => candidate.startsWith(`failed ${behaviour}: `));
    return { behaviour, failure: line?.slice(`failed ${behaviour}: `.length) ?? 'the program did not say' };
  });
}
