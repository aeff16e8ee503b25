/** A git server on the loopback address: repositories in a temporary folder, served by git's own CGI program. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startLoopbackServer } from './loopback.ts';

/** A repository with a working tree, at `<url>/<name>`. */
export interface GitRepository {
  readonly url: string;
  /** Runs git in the working tree and returns what it printed, trimmed. The server does not answer meanwhile. */
  git(...words: readonly string[]): string;
  /** Commits files, path to content, and returns the hash. */
  commit(message: string, files: Readonly<Record<string, string>>): string;
}

export interface GitServer extends AsyncDisposable {
  readonly url: string;
  /** Makes an empty repository whose branch is `main`. */
  create(name: string): GitRepository;
  /** Answers the next `count` requests with 503. */
  failNext(count: number): void;
  /** How many requests came since `failNext` was last called. */
  readonly requests: number;
}

/** Commits are made with this name and, each a second after the one before, from this time on. */
export const AUTHOR = 'A U Thor <author@a.example>';
export const FIRST_COMMIT_SECONDS = 1_600_000_000;

export async function startGitServer(): Promise<GitServer> {
  const root = mkdtempSync(join(tmpdir(), 'git-server-'));
  let failures = 0;
  let requests = 0;
  const server = await startLoopbackServer((request, response) => {
    requests += 1;
    if (failures > 0) {
      failures -= 1;
      response.writeHead(503).end();
      return;
    }
    runBackend(root, request, response);
  });
  const url = server.url;
  return {
    url,
    create: (name) => createRepository(join(root, name), `${url}/${name}`),
    failNext(count) {
      failures = count;
      requests = 0;
    },
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    },
  };
}

function createRepository(folder: string, url: string): GitRepository {
  mkdirSync(folder);
  let seconds = FIRST_COMMIT_SECONDS;
  const git = (...words: readonly string[]): string =>
    execFileSync('git', words, {
      cwd: folder,
      env: {
        ...GIT_ENVIRONMENT,
        GIT_AUTHOR_DATE: `${seconds} +0000`,
        GIT_COMMITTER_DATE: `${seconds} +0000`,
      },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  git('init', '--quiet', '--initial-branch=main');
  git('config', 'uploadpack.allowFilter', 'true');
  return {
    url,
    git,
    commit(message, files) {
      for (const [path, content] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), content);
      }
      git('add', '--all');
      git('commit', '--quiet', '--message', message);
      seconds += 1;
      return git('rev-parse', 'HEAD');
    },
  };
}

const [, name = '', email = ''] = /^(.*) <(.*)>$/.exec(AUTHOR) ?? [];
const GIT_ENVIRONMENT = {
  PATH: process.env['PATH'] ?? '',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  // Submodules are added by path.
  GIT_CONFIG_COUNT: '1',
  GIT_CONFIG_KEY_0: 'protocol.file.allow',
  GIT_CONFIG_VALUE_0: 'always',
  GIT_AUTHOR_NAME: name,
  GIT_AUTHOR_EMAIL: email,
  GIT_COMMITTER_NAME: name,
  GIT_COMMITTER_EMAIL: email,
};

/** Answers a request with git-http-backend(1), as RFC 3875 says. */
function runBackend(root: string, request: IncomingMessage, response: ServerResponse): void {
  const [path = '', query = ''] = (request.url ?? '').split('?');
  const header = (which: string): string => String(request.headers[which] ?? '');
  const child = spawn('git', ['http-backend'], {
    env: {
      ...GIT_ENVIRONMENT,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      CONTENT_TYPE: header('content-type'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      // The version of the protocol that the client asks for.
      GIT_PROTOCOL: header('git-protocol'),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  // A client that has gone, or a backend that has ended before it read all, shows in the other direction.
  child.stdin.on('error', () => undefined);
  request.pipe(child.stdin);
  response.on('close', () => child.kill());
  let head: Buffer | undefined = Buffer.alloc(0);
  child.stdout.on('data', (chunk: Buffer) => {
    if (head === undefined) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const fields = head.subarray(0, end).toString('latin1').split('\r\n');
    const body = head.subarray(end + 4);
    head = undefined;
    for (const field of fields) {
      const colon = field.indexOf(':');
      const value = field.slice(colon + 1).trim();
      if (field.slice(0, colon) === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(field.slice(0, colon), value);
    }
    response.write(body);
  });
  child.stdout.on('end', () => response.end());
}
