import { runOf } from './run.ts';
import { type Report, simulate } from './simulate.ts';
import { Tally } from './tally.ts';

export interface CampaignOptions {
  readonly first: number;
  /** From one number to the next: workers share the numbers. */
  readonly stride: number;
  readonly runsMax: number;
  readonly swarm: string | undefined;
}

interface CampaignListener {
  /** After each run; the latest words of a long campaign. */
  ran(number: number, report: Report, tally: Tally): void;
  /** A run failed. False: enough. */
  failed(number: number, report: Report): boolean;
  isOver(): boolean;
}

/** One run after the other, each with the number after the one before. */
export async function runCampaign(options: CampaignOptions, listener: CampaignListener): Promise<Tally> {
  const tally = new Tally();
  while (tally.runs < options.runsMax && !listener.isOver()) {
    const number = options.first + tally.runs * options.stride;
    const report = await simulate(runOf(number, options.swarm));
    tally.count(report);
    listener.ran(number, report, tally);
    if (report.violation !== undefined && !listener.failed(number, report)) break;
  }
  return tally;
}
