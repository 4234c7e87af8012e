import { assert } from '../lib/assert.ts';
import {
  batchChecksum,
  batchChecksumSeed,
  RECORD_ALIGNMENT,
  RECORD_HEADER_BYTES,
  type RecordFields,
  RecordType,
  recordBytes,
  writeRecordHeader,
} from './record-codec.ts';

/** Memory for headers and small payloads; a thread that writes without copying needs it shared. */
export type Allocate = (bytes: number) => Uint8Array;

const BLOCK_BYTES = 65_536;
/** Up to here copying a payload behind its header costs less than one more buffer in the write. */
const INLINE_BYTES_MAX = 1024;
const EMPTY = new Uint8Array(0);

/** One contiguous stretch of one segment. */
export interface SegmentWrite {
  readonly segment: number;
  readonly position: number;
  readonly bytes: number;
  readonly buffers: readonly Uint8Array[];
}

type BatchRecord = Omit<RecordFields, 'segment' | 'batch' | 'position'>;

/**
 * Lays out the records of one batch behind each other. Large payloads are referred to, not copied, so they must not
 * change until the batch is durable.
 */
export class BatchWriter {
  readonly #allocate: Allocate;
  #block: Uint8Array = EMPTY;
  #view: DataView = new DataView(EMPTY.buffer);
  #cursor = 0;
  #runStart = 0;
  #buffers: Uint8Array[] = [];
  #segment = 0;
  #batch = 0;
  #batchStart = 0;
  #partStart = 0;
  #position = 0;
  #checksum = 0;
  #open = false;

  constructor(allocate: Allocate) {
    this.#allocate = allocate;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Where the next record goes. */
  get position(): number {
    return this.#position;
  }

  begin(segment: number, batch: number, position: number): void {
    assert(!this.#open, 'batch begun twice');
    this.#open = true;
    this.#segment = segment;
    this.#batch = batch;
    this.#batchStart = position;
    this.#partStart = position;
    this.#position = position;
    this.#checksum = batchChecksumSeed(batch);
    this.#runStart = this.#cursor;
    this.#buffers = [];
  }

  /** Appends a record and returns its position in the segment. */
  record(record: BatchRecord, payload: Uint8Array): number {
    assert(this.#open, 'record outside of a batch');
    const position = this.#position;
    const inline = payload.length <= INLINE_BYTES_MAX;
    const total = recordBytes(payload.length);
    this.#reserve(inline ? total : RECORD_HEADER_BYTES + RECORD_ALIGNMENT);
    const headerCrc = writeRecordHeader(
      this.#view,
      this.#block,
      this.#cursor,
      { ...record, segment: this.#segment, batch: this.#batch, position },
      payload,
    );
    this.#checksum = batchChecksum(this.#checksum, headerCrc);
    this.#cursor += RECORD_HEADER_BYTES;
    const padding = total - RECORD_HEADER_BYTES - payload.length;
    if (inline) {
      this.#block.set(payload, this.#cursor);
      this.#cursor += payload.length;
    } else {
      this.#closeRun();
      this.#buffers.push(payload);
    }
    this.#block.fill(0, this.#cursor, this.#cursor + padding);
    this.#cursor += padding;
    this.#position += total;
    return position;
  }

  /** Closes the batch with its end record and hands over what `takePart` has not. */
  end(): SegmentWrite {
    const checksum = this.#checksum;
    const bytes = this.#position - this.#batchStart;
    this.record({ type: RecordType.batchEnd, kind: 0, group: 0, generation: 0, index: bytes, term: checksum }, EMPTY);
    this.#open = false;
    return this.takePart();
  }

  /** Hands over what was laid out since the last part; an open batch goes on behind it. */
  takePart(): SegmentWrite {
    this.#closeRun();
    const bytes = this.#position - this.#partStart;
    const write = { segment: this.#segment, position: this.#partStart, bytes, buffers: this.#buffers };
    this.#partStart = this.#position;
    this.#buffers = [];
    return write;
  }

  #closeRun(): void {
    if (this.#cursor > this.#runStart) this.#buffers.push(this.#block.subarray(this.#runStart, this.#cursor));
    this.#runStart = this.#cursor;
  }

  #reserve(bytes: number): void {
    if (this.#cursor + bytes <= this.#block.length) return;
    this.#closeRun();
    this.#block = this.#allocate(Math.max(BLOCK_BYTES, bytes));
    this.#view = new DataView(this.#block.buffer, this.#block.byteOffset, this.#block.byteLength);
    this.#cursor = 0;
    this.#runStart = 0;
  }
}
