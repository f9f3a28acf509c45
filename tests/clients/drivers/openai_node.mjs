// The openai package for Node: chat, Responses and embeddings, driven as driving.py says.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const packages = createRequire(process.env.SETPOINT_NODE + "/");
const OpenAI = packages("openai");
const client = new OpenAI({ apiKey: process.env.SETPOINT_KEY, baseURL: process.env.SETPOINT_URL + "/v1", maxRetries: 0, timeout: 20_000 });
const DEGREES = { Oslo: "12 degrees", Zürich: "19 degrees" };
const CITY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const FORM = {
  type: "object",
  properties: { name: { type: "string" }, population: { type: "integer" } },
  required: ["name", "population"],
  additionalProperties: false,
};
const says = (content) => [{ role: "user", content }];
const collected = async (stream) => {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
};

const CHAT_TOOL = { type: "function", function: { name: "get_weather", description: "the weather", parameters: CITY } };
const chatCalls = (message) => (message.tool_calls ?? []).map((c) => [c.id, c.function.name, JSON.parse(c.function.arguments)]);
const chatTurn = async (model, messages, stream) => {
  if (stream) return await client.chat.completions.stream({ model, messages, tools: [CHAT_TOOL] }).finalMessage();
  return (await client.chat.completions.create({ model, messages, tools: [CHAT_TOOL] })).choices[0].message;
};

const onChat = {
  async chat({ model, prompt, limit }) {
    const answer = await client.chat.completions.create({ model, messages: says(prompt), max_completion_tokens: limit });
    return { text: answer.choices[0].message.content, input: answer.usage.prompt_tokens, output: answer.usage.completion_tokens };
  },
  async stream({ model, prompt, limit }) {
    const asked = { model, messages: says(prompt), max_completion_tokens: limit, stream: true, stream_options: { include_usage: true } };
    const chunks = await collected(await client.chat.completions.create(asked));
    const usage = chunks.at(-1).usage;
    const pieces = chunks.map((c) => c.choices[0]?.delta.content).filter(Boolean);
    return { pieces, input: usage.prompt_tokens, output: usage.completion_tokens };
  },
  async call({ model, prompt, stream }) {
    const message = await chatTurn(model, says(prompt), stream);
    return { calls: chatCalls(message), text: message.content };
  },
  async loop({ model, prompt }) {
    const messages = says(prompt);
    const ran = [];
    for (;;) {
      const message = await chatTurn(model, messages, false);
      if (!message.tool_calls?.length) return { text: message.content, ran };
      messages.push(message);
      for (const [id, , { city }] of chatCalls(message)) {
        ran.push(city);
        messages.push({ role: "tool", tool_call_id: id, content: DEGREES[city] });
      }
    }
  },
  async structure({ model, prompt }) {
    const response_format = { type: "json_schema", json_schema: { name: "city", schema: FORM, strict: true } };
    const answer = await client.chat.completions.parse({ model, messages: says(prompt), response_format });
    return JSON.parse(answer.choices[0].message.content);
  },
  async look({ model, prompt, image }) {
    const parts = [{ type: "text", text: prompt }, { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } }];
    return { text: (await client.chat.completions.create({ model, messages: says(parts) })).choices[0].message.content };
  },
  async embed({ model, texts }) {
    return (await client.embeddings.create({ model, input: texts })).data.map((v) => v.embedding);
  },
};

const RESPONSES_TOOL = { type: "function", name: "get_weather", description: "the weather", parameters: CITY, strict: false };
const responsesCalls = (answer) =>
  answer.output.filter((i) => i.type === "function_call").map((i) => [i.call_id, i.name, JSON.parse(i.arguments)]);
const responsesTurn = async (model, input, stream) => {
  if (stream) return await client.responses.stream({ model, input, tools: [RESPONSES_TOOL] }).finalResponse();
  return await client.responses.create({ model, input, tools: [RESPONSES_TOOL] });
};

const onResponses = {
  async chat({ model, prompt, limit }) {
    const answer = await client.responses.create({ model, input: prompt, max_output_tokens: limit });
    return { text: answer.output_text, input: answer.usage.input_tokens, output: answer.usage.output_tokens };
  },
  async stream({ model, prompt, limit }) {
    const streaming = client.responses.stream({ model, input: prompt, max_output_tokens: limit });
    const events = await collected(streaming);
    const { usage } = await streaming.finalResponse();
    const pieces = events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta);
    return { pieces, input: usage.input_tokens, output: usage.output_tokens };
  },
  async call({ model, prompt, stream }) {
    const answer = await responsesTurn(model, prompt, stream);
    return { calls: responsesCalls(answer), text: answer.output_text };
  },
  async loop({ model, prompt }) {
    const input = says(prompt);
    const ran = [];
    for (;;) {
      const answer = await responsesTurn(model, input, false);
      if (!responsesCalls(answer).length) return { text: answer.output_text, ran };
      input.push(...answer.output);
      for (const [call_id, , { city }] of responsesCalls(answer)) {
        ran.push(city);
        input.push({ type: "function_call_output", call_id, output: DEGREES[city] });
      }
    }
  },
  async structure({ model, prompt }) {
    const format = { type: "json_schema", name: "city", schema: FORM, strict: true };
    return JSON.parse((await client.responses.create({ model, input: prompt, text: { format } })).output_text);
  },
  async look({ model, prompt, image }) {
    const picture = { type: "input_image", image_url: `data:image/png;base64,${image}`, detail: "auto" };
    return { text: (await client.responses.create({ model, input: says([{ type: "input_text", text: prompt }, picture]) })).output_text };
  },
};

const deeds = process.env.SETPOINT_RESPONSES === "1" ? onResponses : onChat;
const write = (document) => process.stdout.write(JSON.stringify(document) + "\n");
write({ gave: Object.keys(deeds).sort() });
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  try {
    write({ gave: await deeds[order.do](order.with) });
  } catch (error) {
    const { status = null, code = null, message } = error;
    write({ raised: { kind: error.constructor.name, status, message: String(message), code: String(code) } });
  }
}
