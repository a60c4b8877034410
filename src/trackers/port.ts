/** The port of an issue tracker. Its callers make sure that a slow or failing tracker never stops local work. */

import type { IssueState, TrackerIssue } from '../domain/tracker-issues.ts';

/**
 * Every method may throw TRACKER_ERROR, and may be repeated. A change is read back, so that the result is what the tracker has.
 * `list` reads all pages, and waits as a rate limit asks, within reason.
 */
export interface Tracker {
  /** Every issue that belongs to this project. */
  list(): Promise<TrackerIssue[]>;
  /** Claims an issue for a run and sets it in progress. False: it is closed, gone, or claimed by another. A repeat by that run is true. */
  claim(issueId: string, runId: string): Promise<boolean>;
  /** Releases the claim of a run; no effect when it has none. The issue is open again unless it is closed. */
  release(issueId: string, runId: string): Promise<void>;
  /** The claim stays. */
  setState(issueId: string, state: IssueState): Promise<void>;
  /** Adds a comment to an issue, unless its last comment has that very text. */
  comment(issueId: string, text: string): Promise<void>;
}
