import type { AccessView } from '../broker/access/access-control.ts';
import { ACCESS_BUCKETS, type AccessRecord } from '../broker/access/access-records.ts';

export type AccessRecordOf<Kind extends AccessRecord['kind']> = Extract<AccessRecord, { readonly kind: Kind }>;

/** Records of one kind, in no particular order, as they are when they are reached; without permissions in vhosts that are being deleted. */
export function* accessRecords<Kind extends AccessRecord['kind']>(
  access: AccessView,
  kind: Kind,
): Generator<AccessRecordOf<Kind>> {
  for (let bucket = 0; bucket < ACCESS_BUCKETS; bucket++) {
    for (const record of access.inBucket(bucket)) {
      if (record.kind !== kind) continue;
      const isOver = 'user' in record && 'vhost' in record && access.vhost(record.vhost)?.isLeaving;
      if (!isOver) yield record as AccessRecordOf<Kind>;
    }
  }
}
