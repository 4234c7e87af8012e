import { Consumers } from './consumers.ts';
import { Expiry } from './expiry.ts';
import { Getters } from './getters.ts';
import { Inspectors } from './inspectors.ts';
import { Owners } from './owners.ts';
import type { PartKind } from './part.ts';
import { Publishers } from './publishers.ts';
import { Streams } from './streams.ts';

/** Every kind of client that a run has. */
export const PARTS: readonly PartKind[] = [Publishers, Consumers, Getters, Inspectors, Owners, Expiry, Streams];
