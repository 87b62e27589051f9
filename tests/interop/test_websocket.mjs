// The `ws` package on both sides of the gate: the proof rides on the upgrade, then frames pass both ways. Over HTTP/2 the client is
// Node's own (extended CONNECT, RFC 8441), with the frames of `ws` on its stream.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import http2 from 'node:http2'
import path from 'node:path'
import tls from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { BACKENDS, Gate, ORIGIN, popgate } from './harness.mjs'

/** Echoes messages; `seen` keeps the upgrade requests. */
async function startWebSocketService() {
  const seen = []
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true,
    handleProtocols: (offered) => [...offered][0] ?? false,
    verifyClient: ({ req }) => req.url !== '/refused' })
  await once(server, 'listening')
  server.on('connection', (socket, request) => {
    seen.push({ url: request.url, headers: request.headers, socket })
    socket.on('message', (data, binary) => {
      if (!binary && data.toString() === 'close me') socket.close(4001, 'as you wish')
      else socket.send(data, { binary })
    })
  })
  return { seen, url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() }
}

for (const backend of BACKENDS) {
  describe(`ws on ${backend}`, () => {
    let service, gate
    before(async () => {
      service = await startWebSocketService()
      gate = await Gate.start({ backend, service, issuers: (made) => [{ issuer: 'https://issuer.demo.popgate', audience: ORIGIN,
        jwks_file: path.join(made.authority, 'jwks.json') }] })
    })
    after(async () => {
      await gate?.stop()
      service?.stop()
    })

    function connect(target, { protocols = [], htu = ORIGIN + target, expires = '5m', ...options } = {}) {
      const read = (name) => readFileSync(path.join(gate.authority, name))
      const token = popgate('token', '--dir', gate.authority, '--audience', ORIGIN, '--expires', expires)
      const proof = popgate('proof', '--dir', gate.authority, '--url', htu, '--token', token)
      return new WebSocket(`wss://127.0.0.1:${gate.port}${target}`, protocols, {
        ca: read('ca.crt'), cert: read('client-a.crt'), key: read('client-a.key'), servername: 'orders.example.com',
        headers: { host: 'orders.example.com', authorization: `DPoP ${token}`, dpop: proof }, ...options,
      })
    }

    async function refusal(socket) {
      socket.on('error', () => {})
      const [, response] = await once(socket, 'unexpected-response')
      response.resume()
      return response.statusCode
    }

    for (const perMessageDeflate of [false, true]) {
      test(`messages pass both ways (permessage-deflate: ${perMessageDeflate})`, async () => {
        const socket = connect('/chat?room=1', { htu: `${ORIGIN}/chat`, protocols: ['chat'], perMessageDeflate })
        await once(socket, 'open')
        assert.equal(socket.protocol, 'chat')
        for (const size of [0, 1, 125, 126, 65535, 65536, 3_000_000]) {
          const data = crypto.randomBytes(size)
          socket.send(data)
          const [echoed, binary] = await once(socket, 'message')
          assert.ok(binary && data.equals(echoed), `${size} bytes`)
        }
        socket.send('text')
        assert.equal((await once(socket, 'message'))[0].toString(), 'text')
        const pong = once(socket, 'pong')
        socket.ping('alive')
        assert.equal((await pong)[0].toString(), 'alive')
        socket.close(1000, 'done')
        const [code, reason] = await once(socket, 'close')
        assert.equal(code, 1000)
        assert.equal(reason.toString(), 'done')
        const { url, headers } = service.seen.at(-1)
        assert.equal(url, '/chat?room=1')
        assert.equal(headers['x-popgate-subject'], 'client-a')
        assert.equal(headers.authorization, undefined)
        assert.equal(headers.dpop, undefined)
      })
    }

    test('over HTTP/2: extended CONNECT, many on one connection', async () => {
      const read = (name) => readFileSync(path.join(gate.authority, name))
      const session = http2.connect(ORIGIN, { createConnection: () => tls.connect({ host: '127.0.0.1', port: gate.port,
        servername: 'orders.example.com', ALPNProtocols: ['h2'], ca: read('ca.crt'), cert: read('client-a.crt'), key: read('client-a.key') }) })
      try {
        const [settings] = await once(session, 'remoteSettings')
        assert.equal(settings.enableConnectProtocol, true)
        const token = popgate('token', '--dir', gate.authority, '--audience', ORIGIN)
        const open = (target, more = {}) => session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': target,
          'sec-websocket-version': '13', 'sec-websocket-protocol': 'chat', authorization: `DPoP ${token}`,
          dpop: popgate('proof', '--dir', gate.authority, '--method', 'CONNECT', '--url', ORIGIN + target, '--token', token), ...more })
        await Promise.all(Array.from({ length: 10 }, async (_, number) => {
          const stream = open(`/h2/${number}`)
          const [headers] = await once(stream, 'response')
          assert.equal(headers[':status'], 200)
          assert.equal(headers['sec-websocket-protocol'], 'chat')
          assert.equal(headers['sec-websocket-accept'], undefined)
          const socket = new WebSocket(null, undefined, {})
          socket._isServer = false // what ws takes for granted when it is given a stream that it did not open
          stream.setNoDelay ??= () => stream
          socket.setSocket(stream, Buffer.alloc(0), { maxPayload: 10_000_000, skipUTF8Validation: false, allowSynchronousEvents: true })
          for (const size of [0, 1, 126, 65536, 500_000]) {
            const data = crypto.randomBytes(size)
            socket.send(data)
            const [echoed] = await once(socket, 'message')
            assert.ok(data.equals(echoed), `${size} bytes`)
          }
          socket.send('close me')
          const [code, reason] = await once(socket, 'close')
          assert.equal(code, 4001)
          assert.equal(reason.toString(), 'as you wish')
        }))
        const refused = open('/h2/none', { dpop: popgate('proof', '--dir', gate.authority, '--method', 'GET', '--url', `${ORIGIN}/h2/none`, '--token', token) })
        const [headers] = await once(refused, 'response')
        assert.equal(headers[':status'], 401, 'htm is CONNECT')
        refused.close()
      } finally {
        session.close()
      }
    })

    test("the service's close code arrives", async () => {
      const socket = connect('/chat')
      await once(socket, 'open')
      socket.send('close me')
      const [code, reason] = await once(socket, 'close')
      assert.equal(code, 4001)
      assert.equal(reason.toString(), 'as you wish')
    })

    test('a proof for another path, and none, are refused', async () => {
      const before = service.seen.length
      assert.equal(await refusal(connect('/chat', { htu: `${ORIGIN}/other` })), 401)
      assert.equal(await refusal(connect('/chat', { headers: { host: 'orders.example.com' } })), 401)
      assert.equal(service.seen.length, before)
    })

    test("the service's refusal arrives as it is", async () => {
      assert.equal(await refusal(connect('/refused')), 401)
    })

    test('the tunnel ends with its token', async () => {
      const socket = connect('/chat', { expires: '3s' })
      await once(socket, 'open')
      const [code] = await once(socket, 'close')
      assert.equal(code, 1006)
    })

    test('fifty at once keep their own bytes', async () => {
      await Promise.all(Array.from({ length: 50 }, async (_, number) => {
        const socket = connect(`/many/${number}`)
        await once(socket, 'open')
        for (let turn = 0; turn < 20; turn++) {
          const text = `${number}:${turn}:`.repeat(100)
          socket.send(text)
          assert.equal((await once(socket, 'message'))[0].toString(), text)
        }
        socket.close()
        await once(socket, 'close')
      }))
    })
  })
}
