/** What of the SDK of ACP is used. The build makes a file of its own of this one: the SDK uses more of zod than the commands do. */

export type {
  ClientContext,
  InitializeResponse,
  NewSessionResponse,
  PromptResponse,
  RequestPermissionRequest,
} from '@agentclientprotocol/sdk';
export { client, methods, ndJsonStream, PROTOCOL_VERSION, RequestError } from '@agentclientprotocol/sdk';
