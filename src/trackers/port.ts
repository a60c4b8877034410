/** What forge asks of a tracker of issues. One that is slow, or down, never stops local work: its callers see to that. */

import type { IssueState, TrackerIssue } from '../domain/gc/gc-plan.ts';

export { ISSUE_STATES, type IssueState, type TrackerIssue } from '../domain/gc/gc-plan.ts';

/**
 * Every method may throw TRACKER_ERROR, and may be repeated. One that changes something reads it back, so that what it
 * reports is what the tracker holds. `list` goes through all pages, and waits out what a rate limit asks for, within reason.
 */
export interface Tracker {
  /** Every issue that belongs to this project. */
  list(): Promise<TrackerIssue[]>;
  /** Claims an issue for a run, and it is in progress. False: it is closed, gone, or somebody else has claimed it. A repeat by that run is true. */
  claim(issueId: string, runId: string): Promise<boolean>;
  /** Gives up the claim of a run; without effect when it has none. The issue is open again unless it is closed. */
  release(issueId: string, runId: string): Promise<void>;
  /** Whoever has claimed the issue stays named. */
  setState(issueId: string, state: IssueState): Promise<void>;
  /** Puts a comment under an issue, unless it ends with that very text. */
  comment(issueId: string, text: string): Promise<void>;
}
