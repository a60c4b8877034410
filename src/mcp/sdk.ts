/**
 * What of the SDK is used. The build makes a file of its own of this one: the SDK uses more of zod than the commands do, and in a file
 * that they share each verb would load that.
 */

export type {
  CallToolResult,
  ListResourcesResult,
  ReadResourceResult,
  ServerContext,
} from '@modelcontextprotocol/server';
export { ProtocolError, ProtocolErrorCode, ResourceNotFoundError, Server } from '@modelcontextprotocol/server';
export { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
