/** How each agent is led to the server: its variables, and the files of its home. */

const MODEL = 'scripted';

/** `base`: the URL of the try, without a slash at its end. `files`: by path below the home. */
export const PROGRAMS = {
  claude: (base) => ({
    env: { ANTHROPIC_BASE_URL: base, ANTHROPIC_API_KEY: 'none', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' },
    files: {},
  }),
  codex: (base) => ({
    env: { OPENAI_API_KEY: 'none' },
    files: {
      '.codex/config.toml': [
        `model = "${MODEL}"`,
        'model_provider = "tried"',
        '[model_providers.tried]',
        'name = "tried"',
        `base_url = "${base}/v1"`,
        'env_key = "OPENAI_API_KEY"',
        'wire_api = "responses"',
        '',
      ].join('\n'),
    },
  }),
  copilot: (base) => ({
    env: {
      COPILOT_PROVIDER_BASE_URL: `${base}/v1`,
      COPILOT_PROVIDER_API_KEY: 'none',
      COPILOT_MODEL: MODEL,
      COPILOT_OFFLINE: 'true',
      COPILOT_AUTO_UPDATE: 'false',
    },
    files: {},
  }),
  gemini: (base) => ({
    env: { GOOGLE_GEMINI_BASE_URL: base, GEMINI_API_KEY: 'none' },
    files: { '.gemini/settings.json': JSON.stringify({ security: { auth: { selectedType: 'gemini-api-key' } } }) },
  }),
  opencode: (base) => ({
    env: { OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1' },
    files: {
      '.config/opencode/opencode.json': JSON.stringify({
        model: `tried/${MODEL}`,
        small_model: `tried/${MODEL}`,
        autoupdate: false,
        share: 'disabled',
        provider: {
          tried: {
            npm: '@ai-sdk/openai-compatible',
            name: 'tried',
            options: { baseURL: `${base}/v1`, apiKey: 'none' },
            models: { [MODEL]: { name: MODEL, tool_call: true, limit: { context: 200_000, output: 8000 } } },
          },
        },
      }),
    },
  }),
  qwen: (base) => ({
    env: { OPENAI_BASE_URL: `${base}/v1`, OPENAI_API_KEY: 'none', OPENAI_MODEL: MODEL },
    files: { '.qwen/settings.json': JSON.stringify({ security: { auth: { selectedType: 'openai' } } }) },
  }),
};
