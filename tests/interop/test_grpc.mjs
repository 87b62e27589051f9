// grpc-js on both sides of the gate: unary and every kind of streaming, deadlines, cancelling, and refusals. There is no
// .proto: messages are bytes, as the gate sees them. The proof of a call names POST and
// https://authority/package.Service/Method, and travels in the call's metadata.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import grpc from '@grpc/grpc-js'
import { BACKENDS, Gate, ORIGIN, popgate } from './harness.mjs'

const bytes = { requestSerialize: (b) => b, requestDeserialize: (b) => b, responseSerialize: (b) => b, responseDeserialize: (b) => b }
const method = (name, requestStream, responseStream) =>
  ({ path: `/test.Echo/${name}`, requestStream, responseStream, ...bytes })
const definition = {
  Unary: method('Unary', false, false), Collect: method('Collect', true, false),
  Count: method('Count', false, true), Chat: method('Chat', true, true),
}

async function startGrpcService() {
  const seen = [], cancelled = []
  const note = (call) => { seen.push(call.metadata.getMap()) }
  const server = new grpc.Server()
  server.addService(definition, {
    Unary(call, done) {
      note(call)
      const text = call.request.toString()
      if (text === 'fail') {
        const trailer = new grpc.Metadata()
        trailer.set('x-detail', 'of the failure')
        return done({ code: grpc.status.FAILED_PRECONDITION, details: 'as asked', metadata: trailer })
      }
      if (text === 'never') return call.on('cancelled', () => cancelled.push(text))
      const trailer = new grpc.Metadata()
      trailer.set('x-trailer', 'late')
      done(null, Buffer.concat([Buffer.from('echo '), call.request]), trailer)
    },
    Collect(call, done) {
      note(call)
      let size = 0
      call.on('data', (data) => { size += data.length })
      call.on('end', () => done(null, Buffer.from(String(size))))
    },
    Count(call) {
      note(call)
      const [count, size] = call.request.toString().split(' ').map(Number)
      for (let i = 0; i < count; i++) call.write(Buffer.alloc(size, i))
      call.end()
    },
    Chat(call) {
      note(call)
      call.on('data', (data) => call.write(data))
      call.on('end', () => call.end())
      call.on('cancelled', () => cancelled.push('chat')) // also after a good end: grpc-js does so without a gate, too
    },
  })
  const port = await new Promise((resolve, reject) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(),
    (error, bound) => (error ? reject(error) : resolve(bound))))
  return { seen, cancelled, url: `h2c://127.0.0.1:${port}`, stop: () => server.forceShutdown() }
}

for (const backend of BACKENDS) {
  describe(`grpc-js on ${backend}`, () => {
    let service, gate, client
    before(async () => {
      service = await startGrpcService()
      gate = await Gate.start({ backend, service, issuers: (made) => [{ issuer: 'https://issuer.demo.popgate', audience: ORIGIN,
        jwks_file: path.join(made.authority, 'jwks.json') }] })
      const read = (name) => readFileSync(path.join(gate.authority, name))
      const Client = grpc.makeGenericClientConstructor(definition, 'Echo')
      client = new Client(`127.0.0.1:${gate.port}`, grpc.credentials.createSsl(read('ca.crt'), read('client-a.key'), read('client-a.crt')), {
        'grpc.ssl_target_name_override': 'orders.example.com', 'grpc.default_authority': 'orders.example.com',
        'grpc.max_receive_message_length': -1 })
    })
    after(async () => {
      client?.close()
      await gate?.stop()
      service?.stop()
    })

    function credentials(name, url = `${ORIGIN}/test.Echo/${name}`, verb = 'POST') {
      const metadata = new grpc.Metadata()
      const token = popgate('token', '--dir', gate.authority, '--audience', ORIGIN)
      metadata.set('authorization', `DPoP ${token}`)
      metadata.set('dpop', popgate('proof', '--dir', gate.authority, '--method', verb, '--url', url, '--token', token))
      return metadata
    }

    function unary(text, metadata = credentials('Unary'), options = {}) {
      return new Promise((resolve) => {
        let trailers
        const call = client.Unary(Buffer.from(text), metadata, options, (error, answer) => setImmediate(() => resolve({ error, answer, trailers })))
        call.on('status', (status) => { trailers = status.metadata })
      })
    }

    test('unary, with trailers', async () => {
      const { error, answer, trailers } = await unary('hello')
      assert.equal(error, null)
      assert.equal(answer.toString(), 'echo hello')
      assert.deepEqual(trailers.get('x-trailer'), ['late'])
      const seen = service.seen.at(-1)
      assert.equal(seen['x-popgate-subject'], 'client-a')
      assert.equal(seen.authorization, undefined)
      assert.equal(seen.dpop, undefined)
    })

    test("the service's own error and its trailers pass", async () => {
      const { error } = await unary('fail')
      assert.equal(error.code, grpc.status.FAILED_PRECONDITION)
      assert.equal(error.details, 'as asked')
      assert.deepEqual(error.metadata.get('x-detail'), ['of the failure'])
    })

    test('client streaming', async () => {
      const answer = await new Promise((resolve, reject) => {
        const call = client.Collect(credentials('Collect'), (error, value) => (error ? reject(error) : resolve(value)))
        for (let i = 0; i < 50; i++) call.write(Buffer.alloc(20_000, i))
        call.end()
      })
      assert.equal(answer.toString(), '1000000')
    })

    test('server streaming', async () => {
      let count = 0
      for await (const data of client.Count(Buffer.from('200 5000'), credentials('Count'))) {
        assert.ok(data.equals(Buffer.alloc(5000, count++)))
      }
      assert.equal(count, 200)
    })

    test('bidirectional: each message comes back before the next', async () => {
      const call = client.Chat(credentials('Chat'))
      const answers = call[Symbol.asyncIterator]()
      for (let i = 0; i < 20; i++) {
        call.write(Buffer.from(`message ${i}`))
        assert.equal((await answers.next()).value.toString(), `message ${i}`)
      }
      call.end()
      assert.equal((await answers.next()).done, true)
    })

    test('many calls at once on one connection', async () => {
      const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => unary(`call ${i}`)))
      answers.forEach(({ error, answer }, i) => {
        assert.equal(error, null)
        assert.equal(answer.toString(), `echo call ${i}`)
      })
    })

    test('a deadline', async () => {
      service.cancelled.length = 0
      const { error } = await unary('never', credentials('Unary'), { deadline: Date.now() + 400 })
      assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED)
      for (let i = 0; i < 100 && service.cancelled.length === 0; i++) await new Promise((r) => setTimeout(r, 20))
      assert.deepEqual(service.cancelled.splice(0), ['never'])
    })

    test('cancelling', async () => {
      service.cancelled.length = 0
      const call = client.Chat(credentials('Chat'))
      call.write(Buffer.from('x'))
      await new Promise((resolve) => call.once('data', resolve))
      const ended = new Promise((resolve) => call.once('error', resolve))
      call.cancel()
      assert.equal((await ended).code, grpc.status.CANCELLED)
      for (let i = 0; i < 100 && service.cancelled.length === 0; i++) await new Promise((r) => setTimeout(r, 20))
      assert.deepEqual(service.cancelled.splice(0), ['chat'])
    })

    test('refusals: UNAUTHENTICATED with the challenge', async () => {
      const before = service.seen.length
      const none = await unary('x', new grpc.Metadata())
      assert.equal(none.error.code, grpc.status.UNAUTHENTICATED)
      assert.deepEqual(none.error.metadata.get('www-authenticate'), ['DPoP algs="ES256 EdDSA Ed25519"'])
      const metadata = credentials('Unary')
      assert.equal((await unary('once', metadata)).error, null)
      const replay = await unary('once', metadata)
      assert.equal(replay.error.code, grpc.status.UNAUTHENTICATED)
      assert.match(replay.error.metadata.get('www-authenticate')[0], /invalid_dpop_proof/)
      for (const wrong of [credentials('Unary', `${ORIGIN}/test.Echo/Count`), credentials('Unary', `${ORIGIN}/test.Echo/unary`),
        credentials('Unary', undefined, 'GET')]) {
        assert.equal((await unary('x', wrong)).error.code, grpc.status.UNAUTHENTICATED)
      }
      assert.equal(service.seen.length, before + 1)
    })
  })
}
