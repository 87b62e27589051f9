// undici and Node's own http2 client, over HTTP/2 and HTTP/1.1 to the same port.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import path from 'node:path'
import tls from 'node:tls'
import { after, before, describe, test } from 'node:test'
import { fetch } from 'undici'
import { BACKENDS, Gate, ORIGIN, popgate, startService } from './harness.mjs'

for (const backend of BACKENDS) {
  describe(`undici and node:http2 on ${backend}`, () => {
    let service, gate
    before(async () => {
      service = await startService()
      gate = await Gate.start({ backend, service, issuers: (made) => [{ issuer: 'https://issuer.demo.popgate', audience: ORIGIN,
        jwks_file: path.join(made.authority, 'jwks.json') }] })
    })
    after(async () => {
      await gate?.stop()
      service?.stop()
    })

    function credentials(method, target) {
      const token = popgate('token', '--dir', gate.authority, '--audience', ORIGIN)
      return { authorization: `DPoP ${token}`,
        dpop: popgate('proof', '--dir', gate.authority, '--method', method, '--url', ORIGIN + target, '--token', token) }
    }

    for (const allowH2 of [true, false]) {
      test(`undici, allowH2: ${allowH2}`, async () => {
        const dispatcher = gate.agent('client-a', { allowH2 })
        try {
          for (const [method, body] of [['GET'], ['POST', 'p'.repeat(100_000)], ['PUT', 'x'], ['DELETE']]) {
            const response = await fetch(`${ORIGIN}/undici`, { method, body, headers: credentials(method, '/undici'), dispatcher })
            assert.equal(response.status, 200)
            const seen = await response.json()
            assert.equal(seen.method, method)
            assert.equal(seen.body, body ?? '')
            assert.equal(seen.headers.host, 'orders.example.com')
          }
          const refused = await fetch(`${ORIGIN}/undici`, { dispatcher })
          assert.equal(refused.status, 401)
        } finally {
          await dispatcher.close()
        }
      })
    }

    test('node:http2, many streams at once', async () => {
      const read = (name) => readFileSync(path.join(gate.authority, name))
      const session = http2.connect(ORIGIN, { createConnection: () => tls.connect({ host: '127.0.0.1', port: gate.port,
        servername: 'orders.example.com', ALPNProtocols: ['h2'], ca: read('ca.crt'), cert: read('client-a.crt'), key: read('client-a.key') }) })
      try {
        const answers = await Promise.all(Array.from({ length: 60 }, async (_, i) => {
          const stream = session.request({ ':method': 'POST', ':path': `/n/${i}`, ...credentials('POST', `/n/${i}`) })
          stream.end(`body ${i}`)
          const [headers] = await once(stream, 'response')
          let text = ''
          for await (const part of stream) text += part
          return { status: headers[':status'], seen: JSON.parse(text) }
        }))
        answers.forEach(({ status, seen }, i) => {
          assert.equal(status, 200)
          assert.equal(seen.url, `/n/${i}`)
          assert.equal(seen.body, `body ${i}`)
        })
        await new Promise((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())))
      } finally {
        session.close()
      }
    })
  })
}
