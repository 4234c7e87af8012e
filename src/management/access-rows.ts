import type { AccessView } from '../broker/access/access-control.ts';
import { ACCESS_BUCKETS, type AccessRecord } from '../broker/access/access-records.ts';

export type AccessRecordOf<Kind extends AccessRecord['kind']> = Extract<AccessRecord, { readonly kind: Kind }>;

/**
 * Records of one kind as they are when they are reached, without permissions in vhosts that are being deleted. In groups, many of
 * them empty: each costs about as much time, however few of its records are of this kind.
 */
export function* accessRecords<Kind extends AccessRecord['kind']>(
  access: AccessView,
  kind: Kind,
): Generator<readonly AccessRecordOf<Kind>[]> {
  const isWanted = (record: AccessRecord): record is AccessRecordOf<Kind> =>
    record.kind === kind && !('user' in record && 'vhost' in record && access.vhost(record.vhost)?.isLeaving);
  for (let bucket = 0; bucket < ACCESS_BUCKETS; bucket++) yield access.inBucket(bucket).filter(isWanted);
}
