// What every interop test stands on: the demo authority's certificates, a service that records, the gate as a process, and a
// fetch that presents a client certificate and reaches https://orders.example.com at the gate's port.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, buildConnector, fetch as undiciFetch } from 'undici'

export const ORIGIN = 'https://orders.example.com'
const POPGATE = process.env.POPGATE ?? path.resolve(import.meta.dirname, '../../build/popgate')

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Runs popgate to its end and gives its output without the last newline. */
export function popgate(...args) {
  const result = spawnSync(POPGATE, args, { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`popgate ${args.join(' ')}: ${result.stderr}`)
  return result.stdout.replace(/\n$/, '')
}

/** A service that answers 200 with what it saw, as JSON, and keeps it in `seen`. */
export async function startService() {
  const seen = []
  const server = http.createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    const entry = { method: request.method, url: request.url, headers: request.headers, body }
    seen.push(entry)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(entry))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { seen, url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() }
}

export class Gate {
  /** `issuers`: the configuration's list. The folder holds the demo authority. */
  static async start({ backend, service, issuers, beforeRun, changes = {} }) {
    const gate = new Gate()
    gate.folder = mkdtempSync(path.join(os.tmpdir(), 'popgate-interop-'))
    gate.authority = path.join(gate.folder, 'authority')
    popgate('demo-authority', gate.authority, '--dns', 'orders.example.com')
    gate.port = await freePort()
    gate.adminPort = await freePort()
    const file = (name) => path.join(gate.authority, name)
    const config = {
      listen: `127.0.0.1:${gate.port}`,
      admin: { listen: `127.0.0.1:${gate.adminPort}` },
      upstream: service.url,
      workers: 1,
      io_backend: backend,
      tls: { certificate: file('server.crt'), private_key: file('server.key'), client_ca: file('ca.crt') },
      public_origins: [ORIGIN],
      issuers: typeof issuers === 'function' ? issuers(gate) : issuers,
      replay: { cold_start: 'accept' },
      ...changes,
    }
    await beforeRun?.(gate)
    const configFile = path.join(gate.folder, 'popgate.yaml')
    writeFileSync(configFile, JSON.stringify(config))
    gate.process = spawn(POPGATE, ['run', '-c', configFile], { stdio: ['ignore', 'pipe', 'pipe'] })
    gate.output = ''
    for (const stream of [gate.process.stdout, gate.process.stderr]) {
      stream.on('data', (text) => { gate.output += text })
    }
    gate.dispatcher = gate.agent('client-a')
    for (let i = 0; i < 400; i++) {
      if (gate.process.exitCode !== null) throw new Error(`popgate ended:\n${gate.output}`)
      try {
        const response = await undiciFetch(`http://127.0.0.1:${gate.adminPort}/readyz`)
        if (response.status === 200) return gate
      } catch { /* not listening yet */ }
      await sleep(25)
    }
    throw new Error(`popgate is not ready:\n${gate.output}`)
  }

  /** An undici dispatcher that presents `client`'s certificate. */
  agent(client, options = {}) {
    const read = (name) => readFileSync(path.join(this.authority, name))
    const connect = buildConnector({ ca: read('ca.crt'), cert: read(`${client}.crt`), key: read(`${client}.key`), ...options })
    return new Agent({
      ...options,
      connect: (target, done) => connect({ ...target, hostname: '127.0.0.1', host: `127.0.0.1:${this.port}`,
        port: this.port, servername: 'orders.example.com' }, done),
    })
  }

  /** fetch through the gate, as client-a. */
  fetch = (url, options = {}) => undiciFetch(url, { ...options, dispatcher: this.dispatcher })

  async stop() {
    await this.dispatcher.close()
    if (this.process.exitCode === null) {
      this.process.kill('SIGTERM')
      await once(this.process, 'exit')
    }
    rmSync(this.folder, { recursive: true, force: true })
    if (this.process.exitCode !== 0) throw new Error(`popgate ended with ${this.process.exitCode}:\n${this.output}`)
  }
}

export const BACKENDS = ['io_uring', 'epoll']
