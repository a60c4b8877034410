/**
 * Variables by which a coding agent tells the commands that it runs that they are within its session. An agent that starts with them
 * takes itself for a part of that session, and keeps none of its own. Source: the environment of such commands, and the programs.
 * Not here: what people configure, and what a sandbox says of itself, which holds for everything within.
 */
export const SESSION_MARKERS: ReadonlySet<string> = new Set([
  // Claude Code 2.1
  'AI_AGENT',
  'CLAUDECODE',
  'CLAUDE_CODE_CHILD_SESSION',
  'CLAUDE_CODE_ENTRYPOINT',
  'CLAUDE_CODE_EXECPATH',
  'CLAUDE_CODE_SESSION_ID',
  'CLAUDE_CODE_SESSION_KIND',
  'CLAUDE_EFFORT',
  // Codex 0.171
  'CODEX_CI',
  'CODEX_SESSION_ID',
  'CODEX_THREAD_ID',
  'CODEX_TOOL_CALL_ID',
  // GitHub Copilot CLI 1.0
  'COPILOT_AGENT_SESSION_ID',
  'COPILOT_CLI',
  'COPILOT_CLI_BINARY_VERSION',
  'COPILOT_CLI_RESOLVED_DIST_DIR',
  'COPILOT_LOADER_PID',
  // Cursor
  'CURSOR_AGENT',
  // Gemini CLI 0.61
  'GEMINI_CLI',
  'GEMINI_CLI_NO_RELAUNCH',
  // OpenCode 1.18
  'OPENCODE',
  'OPENCODE_PID',
  // Qwen Code 0.15
  'QWEN_CODE',
  'QWEN_CODE_NO_RELAUNCH',
]);
