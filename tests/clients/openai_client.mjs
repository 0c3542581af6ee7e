// OpenAI's library for JavaScript, as people use it: everything that the server offers it.
import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";
import {
  APIError,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
} from "openai";

const model = process.env.CLIENT_MODEL;
const vectors = process.env.CLIENT_EMBEDDING_MODEL;
const client = new OpenAI();
const messages = [{ role: "user", content: "Hello there" }];

const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "The weather of a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
    },
  },
};

const steps = {
  async models() {
    const ids = [];
    for await (const each of client.models.list()) ids.push(each.id);
    assert(ids.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async whole() {
    const answer = await client.chat.completions.create({ model, messages });
    assert.equal(answer.object, "chat.completion");
    assert.match(answer.choices[0].message.content, /Hello there/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert(answer.usage.total_tokens > 0);
    assert(answer._request_id);
  },

  async streamed() {
    const stream = await client.chat.completions.create({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.match(text, /Hello there/);
    assert(usage.total_tokens > 0);
  },

  async stoppedInTheMiddle() {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    assert(stream.controller.signal.aborted);
  },

  async tools() {
    const runner = client.chat.completions.runTools({
      model,
      messages: [...messages],
      tools: [
        {
          ...weather,
          function: {
            ...weather.function,
            parse: JSON.parse,
            function: ({ city }) => `Sunny in ${city}.`,
          },
        },
      ],
    });
    assert.match(await runner.finalContent(), /Sunny in Bonn/);
  },

  async streamedTools() {
    const stream = client.chat.completions.stream({ model, messages, tools: [weather] });
    const answer = await stream.finalChatCompletion();
    const [call] = answer.choices[0].message.tool_calls;
    assert.deepEqual(JSON.parse(call.function.arguments), { city: "Bonn" });
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
  },

  async schema() {
    const answer = await client.chat.completions.create({
      model,
      messages,
      response_format: {
        type: "json_schema",
        json_schema: {
          name: "city",
          strict: true,
          schema: {
            type: "object",
            properties: { name: { type: "string" }, people: { type: "integer" } },
            required: ["name", "people"],
            additionalProperties: false,
          },
        },
      },
    });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: "Bonn", people: 7 });
  },

  async embeddings() {
    // It asks for base64 by itself.
    const answer = await client.embeddings.create({ model: vectors, input: ["one", "two"] });
    assert.equal(answer.data.length, 2);
    assert(answer.data[0].embedding.length > 100);
    const length = Math.hypot(...answer.data[0].embedding);
    assert(Math.abs(length - 1) < 0.01, `length ${length}`);
  },

  async spokenAndHeard() {
    const spoken = await client.audio.speech.create({
      model: "tts-1",
      voice: "alloy",
      input: "The quick brown fox jumps over the lazy dog.",
      response_format: "mp3",
    });
    const bytes = Buffer.from(await spoken.arrayBuffer());
    const heard = await client.audio.transcriptions.create({
      model: "whisper-1",
      file: await toFile(bytes, "speech.mp3"),
    });
    assert.match(heard.text.toLowerCase(), /brown fox/);
    const subtitles = await client.audio.transcriptions.create({
      model: "whisper-1",
      file: await toFile(bytes, "speech.mp3"),
      response_format: "srt",
    });
    assert.match(subtitles, /^1\n00:00:0/);
  },

  async pictures() {
    const answer = await client.images.generate({
      model: "gpt-image-1",
      prompt: "a fox",
      size: "256x256",
      response_format: "b64_json",
    });
    const picture = Buffer.from(answer.data[0].b64_json, "base64");
    assert(picture.length > 1000);
  },

  async errors() {
    const stranger = new OpenAI({ apiKey: "sk-wrong" });
    await assert.rejects(stranger.models.list(), AuthenticationError);
    const unknown = client.chat.completions.create({ model: "nobody/nothing", messages });
    await assert.rejects(unknown, (error) => {
      assert(error instanceof NotFoundError && error.code === "model_not_found");
      return true;
    });
    const wrong = client.chat.completions.create({ model, messages, temperature: 9 });
    await assert.rejects(wrong, (error) => {
      assert(error instanceof BadRequestError && error.param === "temperature");
      return error instanceof APIError;
    });
  },
};

for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
  } catch (error) {
    console.error(`failed: ${name}`);
    throw error;
  }
}
