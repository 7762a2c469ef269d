/** State values as people write them. */
import { expect, test } from "vitest";
import { isInState, stateText } from "./state-text.ts";

test.for<{ value: unknown; text: string }>([
  { value: "open", text: "open" },
  { value: { form: "editing" }, text: "form.editing" },
  { value: { form: { page: "one" } }, text: "form.page.one" },
  { value: { upload: "done", form: { page: "one" } }, text: "upload.done, form.page.one" },
  { value: { upload: {}, form: "editing" }, text: "upload, form.editing" },
  { value: { "two\nlines": "in" }, text: String.raw`two\nlines.in` },
  { value: {}, text: "" },
  { value: undefined, text: "" },
])("$value is $text", ({ value, text }) => {
  expect(stateText(value)).toBe(text);
});

test.for([
  { path: "form", isIn: true },
  { path: "form.page", isIn: true },
  { path: "form.page.one", isIn: true },
  { path: "upload.done", isIn: true },
  { path: "page", isIn: false },
  { path: "for", isIn: false },
  { path: "form.page.one.more", isIn: false },
])("an agent in form.page.one and upload.done is in $path: $isIn", ({ path, isIn }) => {
  expect(isInState({ upload: "done", form: { page: "one" } }, path)).toBe(isIn);
});
