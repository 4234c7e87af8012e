/** Bounds of the shard machine, all in one place. Changing one changes results of `apply`: raise the machine's version with it (R22). */

/** Highest behaviour version that this build supports. */
export const MACHINE_VERSION = 1;

/** An entry's payload is never longer (R6). */
export const PAYLOAD_BYTES_MAX = 256 * 1024;
/** A message block above this travels in parts. */
export const MESSAGE_BLOCK_BYTES_MAX = 200 * 1024;
/** One part of a large message. */
export const PART_BYTES_MAX = 200 * 1024;
/** A message with all its parts: what the length column of a reference holds, with room to spare. */
export const LARGE_MESSAGE_BYTES_MAX = 2 ** 31;
/** Queues that one message may enter with one command. */
export const TARGETS_MAX = 0xffff;

/** How much one `apply` does of each kind of work; what is left over goes on with the next entry (R21). The same on every replica. */
export interface StepShares {
  /** References settled, returned or discarded, and consumers of a fenced session: once for left-over work, once more for the entry's own. */
  readonly settlements: number;
  /** References of purged and deleted messages whose bodies are released; a chunk that is begun is finished. */
  readonly drops: number;
  /** Messages dropped because they have expired. */
  readonly expiries: number;
  /** Queues looked at because something is due there. */
  readonly dueQueues: number;
  /** Messages handed out. */
  readonly deliveries: number;
}

export const STEP_SHARES: StepShares = {
  settlements: 10_000,
  drops: 10_000,
  expiries: 10_000,
  dueQueues: 1_000,
  deliveries: 10_000,
};

/** References in a full chunk, the unit of checkpoint (R15). A power of two. */
export const CHUNK_REFERENCES = 4_096;
/** Delivery numbers in one page of a consumer's unsettled messages. */
export const UNSETTLED_PER_PAGE = 256;
/** Columns of emptied pages that are kept for the next one. */
export const UNSETTLED_COLUMNS_KEPT = 256;
/** Large messages in one page of the checkpoint. */
export const LARGE_MESSAGES_PER_PAGE = 64;
/** Storages of freed chunks that are kept for the next one, per size. */
export const CHUNK_STORAGES_KEPT = 64;

/** Entries between two marks of the running hash, and how many marks are remembered (R22). */
export const HASH_MARK_ENTRIES = 1_024;
export const HASH_MARKS_KEPT = 8;

/** Delivery counts stop here; they are kept in 16 bits. */
export const DELIVERY_COUNT_MAX = 0xffff;
/** Consumers of one stream, each of which may hold the same message. */
export const READERS_MAX = 0xffff;
