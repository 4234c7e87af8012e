import type { Canary } from './canary.ts';

/** What clients rely on, broken in the queue machine and in the way of commands and deliveries. */
export const WORKLOAD_CANARIES: readonly Canary[] = [
  {
    name: 'repeated-refusal-confirmed',
    breaks: 'a refused publish that is repeated to a new leader is answered as accepted (R23)',
    file: 'src/queue/shard-machine.ts',
    find: 'return this.#liveSession(node, incarnation)?.outcomesAfter(sequence) ?? [];',
    replace: 'return this.#liveSession(node, incarnation) && [];',
    runsMax: 150,
  },
  {
    name: 'settle-applied-twice',
    breaks: 'a settlement in a repeated batch is executed again (R23)',
    file: 'src/queue/shard-machine.ts',
    find: 'if (sequence > session.lastSequence) {',
    replace:
      'const isSettle = new ByteReader(reader.bytes(1)).u8() === CommandKind.settle;\n      reader.skip(-1);\n' +
      '      if (isSettle || sequence > session.lastSequence) {',
    runsMax: 250,
  },
  {
    name: 'sequence-forgotten-on-fence',
    breaks: 'a fenced incarnation is taken for a new one when a late batch of it arrives (R24)',
    file: 'src/queue/shard-machine.ts',
    find: 'if (sessions.isFenced(node, incarnation)) {',
    replace: 'if (sessions.isFenced(node, incarnation) && sessions.find(node, incarnation) !== undefined) {',
    runsMax: 150,
  },
  {
    name: 'apply-reads-the-process',
    breaks: 'the result of an entry depends on what this process did before (R21)',
    file: 'src/queue/consumers.ts',
    find: '  const front = queue.ringFront;\n  if (!front) {\n    consumer.ringNext = consumer;',
    replace:
      '  const counted = globalThis as { applied?: number };\n  counted.applied = (counted.applied ?? 0) + 1;\n' +
      '  if (queue.ringFront && counted.applied % 3 === 0) queue.ringFront = queue.ringFront.ringNext;\n' +
      '  const front = queue.ringFront;\n  if (!front) {\n    consumer.ringNext = consumer;',
    runsMax: 150,
  },
  {
    name: 'redelivered-lost',
    breaks: 'a message that was returned does not say so when it comes again',
    file: 'src/queue/settlement.ts',
    find: 'Math.min(storage.deliveryCounts[i]! + 1, DELIVERY_COUNT_MAX)',
    replace: 'Math.min(storage.deliveryCounts[i]!, DELIVERY_COUNT_MAX)',
    runsMax: 40,
  },
  {
    name: 'returned-to-the-end',
    breaks: 'returned messages do not go back to their place',
    file: 'src/queue/ready-list.ts',
    find: 'if (heap[parent]! <= position) break;',
    replace: 'if (heap[parent]! >= position) break;',
    runsMax: 40,
  },
  {
    name: 'returned-forgotten',
    breaks: 'a returned message is not handed out again until something else happens to its queue',
    file: 'src/queue/settlement.ts',
    find: '  state.counters.ready++;\n  state.pending.touch(queue);',
    replace: '  state.counters.ready++;',
    runsMax: 40,
  },
  {
    name: 'credit-counted-twice',
    breaks: 'new credit is added to the old instead of replacing it (R26)',
    file: 'src/queue/consumers.ts',
    find: '    this.deliverThrough = credit.deliverThrough;\n    this.bytesThrough = credit.bytesThrough;\n  }\n\n  encode',
    replace:
      '    this.deliverThrough += credit.deliverThrough;\n    this.bytesThrough = credit.bytesThrough;\n  }\n\n  encode',
    runsMax: 40,
  },
  {
    name: 'credit-lost',
    breaks: 'a consumer that gets credit while messages wait is not looked at',
    file: 'src/queue/consumer-commands.ts',
    find: '  consumer.setCredit(command);\n  offer(state, consumer);',
    replace: '  consumer.setCredit(command);',
    runsMax: 40,
  },
  {
    name: 'waiting-consumer-forgotten',
    breaks: 'after a restart nobody remembers which consumers wait for messages',
    file: 'src/queue/restore.ts',
    find: 'for (const serial of ring) appendToRing(queue, bySerial.get(serial)!);',
    replace: 'for (const serial of ring.slice(1)) appendToRing(queue, bySerial.get(serial)!);',
    runsMax: 40,
  },
  {
    name: 'one-settled-too-many',
    breaks: 'a settlement of several deliveries takes the next one, too',
    file: 'src/queue/settlement.ts',
    find: "schedule(state, { kind: 'settle', consumer, how, next: held, last: end }, consumer.pendingWork === 0);",
    replace:
      "schedule(state, { kind: 'settle', consumer, how, next: held, last: end + 1 }, consumer.pendingWork === 0);",
    runsMax: 40,
  },
  {
    name: 'purge-takes-unsettled',
    breaks: 'a purge drops what consumers hold, too',
    file: 'src/queue/reference-drop.ts',
    find: 'if (chunk.storage!.states[i] === ReferenceState.ready) dropReference(state, chunk, i);',
    replace: 'if (chunk.storage!.states[i] !== ReferenceState.gone) dropReference(state, chunk, i);',
    runsMax: 150,
  },
  {
    name: 'deletion-leaves-consumers',
    breaks: 'a queue is deleted and its consumers are not told',
    file: 'src/queue/deletion.ts',
    find: "if (consumer.state === 'active') state.effects.consumersCancelled.push(consumer.address);",
    replace: '',
    runsMax: 150,
  },
  {
    name: 'tombstone-forgotten',
    breaks: 'a late command creates a deleted queue again (R3)',
    file: 'src/queue/tombstones.ts',
    find: 'return this.#named.has(queue) || this.#removedIds.has(queue);',
    replace: 'return this.#named.has(queue);',
    runsMax: 150,
  },
  {
    name: 'deliveries-not-repeated',
    breaks: 'a new leader does not send what consumers hold and never received (R25)',
    file: 'src/cluster/shard/shard-leader.ts',
    find: 'for (const list of held) for (let i = 0; i < list.length; i++) pipeline.deliver(list, i, true);',
    replace: '',
    runsMax: 150,
  },
  {
    name: 'notice-of-deletion-not-repeated',
    breaks: 'a consumer whose queue was deleted while its node had no leader waits for ever (R25)',
    file: 'src/cluster/shard/shard-leader.ts',
    find: "reached('leader.deletion-told-again');\n        pipeline.consumerCancelled(view.consumer);",
    replace: '',
    runsMax: 200,
  },
];
