/**
 * Goal: who is silent, dead or alive is told from evidence alone, and no outage of NATS makes anyone dead.
 * Method: evidence given by hand, time too; each reason for "no responders" of a living host is a case.
 */
import { expect, test } from "vitest";
import { Judge } from "./judge.ts";

const beatMs = 3_000;

/** A judge that knows A, and what happens to it. */
class Scene {
  readonly judge = new Judge();
  nowMs = 1_000_000;
  #revision = 0;

  constructor() {
    this.beat();
    this.prove();
  }

  get state(): string {
    return this.judge.stateOf("A");
  }

  beat(hasLeft: boolean = false): boolean {
    this.#revision += 1;
    return this.judge.seen({ incarnation: "A", revision: this.#revision, hasLeft, facts: new Uint8Array() });
  }

  /** Time in which our own way to the bucket works. */
  prove(ms: number = beatMs): void {
    this.nowMs += ms;
    this.judge.proved(this.nowMs, ms);
  }

  answer(): void {
    this.judge.answered("A");
  }

  /** Pings every tenth of a second that nobody answers. */
  miss(forMs: number): void {
    for (let ms = 0; ms <= forMs; ms += 100) this.judge.missed("A", this.nowMs + ms);
    this.nowMs += forMs;
  }

  disturb(): void {
    this.judge.disturbed(this.nowMs);
  }
}

test("one that is silent for fifteen proven seconds is suspected, and alive again with its next beat", () => {
  const scene = new Scene();
  for (let beats = 0; beats < 3; beats += 1) scene.prove();
  expect(scene.state).toBe("alive");
  scene.prove();
  expect(scene.state).toBe("suspected");
  expect(scene.judge.alive()).toEqual([]);
  expect(scene.beat()).toBe(true);
  expect(scene.state).toBe("alive");
});

test("an entry that is read again is no beat", () => {
  const scene = new Scene();
  for (let beats = 0; beats < 5; beats += 1) {
    scene.prove();
    scene.judge.seen({ incarnation: "A", revision: 1, hasLeft: false, facts: new Uint8Array() });
  }
  expect(scene.state).toBe("suspected");
});

test("no time without proof is silence, and a disturbance begins it anew", () => {
  const scene = new Scene();
  scene.nowMs += 3_600_000;
  expect(scene.state).toBe("alive");
  for (let beats = 0; beats < 4; beats += 1) scene.prove();
  scene.disturb();
  for (let beats = 0; beats < 4; beats += 1) scene.prove();
  expect(scene.state).toBe("alive");
});

test("one that left is dead for good, whatever is written later", () => {
  const scene = new Scene();
  scene.beat(true);
  expect(scene.state).toBe("dead");
  scene.beat();
  scene.answer();
  scene.disturb();
  expect(scene.state).toBe("dead");
  expect(scene.judge.pingable()).toEqual([]);
});

test("one that answered and is then missed for four tenths of a second is dead, and alive again if it answers", () => {
  const scene = new Scene();
  scene.answer();
  scene.miss(300);
  expect(scene.state).toBe("alive");
  scene.miss(100);
  expect(scene.state).toBe("dead");
  scene.answer();
  expect(scene.state).toBe("alive");
});

test("one that dials again is missed for a moment only, and that is not death", () => {
  const scene = new Scene();
  for (let times = 0; times < 10; times += 1) {
    scene.answer();
    scene.miss(300);
  }
  expect(scene.state).toBe("alive");
});

test("two misses are not death however far apart", () => {
  const scene = new Scene();
  scene.answer();
  scene.judge.missed("A", scene.nowMs);
  scene.judge.missed("A", scene.nowMs + 5_000);
  expect(scene.state).toBe("alive");
});

test("one that never answered is dead after three seconds of misses, if nothing was disturbed", () => {
  const scene = new Scene();
  scene.miss(2_900);
  expect(scene.state).toBe("alive");
  scene.miss(100);
  expect(scene.state).toBe("dead");
});

test("for twenty seconds after a disturbance nobody is found dead, and then only who has answered since", () => {
  const scene = new Scene();
  scene.answer();
  scene.disturb();
  scene.answer();
  for (let beats = 0; beats < 4; beats += 1) {
    scene.prove();
    scene.answer();
    scene.miss(1_900);
    expect(scene.state).toBe("alive");
  }
  scene.prove();
  scene.answer();
  scene.miss(400);
  expect(scene.state).toBe("dead");

  const cut = new Scene();
  cut.answer();
  cut.disturb();
  for (let beats = 0; beats < 10; beats += 1) {
    cut.prove();
    cut.miss(beatMs);
  }
  expect(cut.state).toBe("suspected");
});

test("who has no way to the bucket finds nobody dead", () => {
  const scene = new Scene();
  scene.answer();
  scene.nowMs += 8_100;
  scene.miss(5_000);
  expect(scene.state).toBe("alive");
});

test("one that was never seen, or is long forgotten, is unknown", () => {
  const scene = new Scene();
  expect(scene.judge.stateOf("B")).toBe("unknown");
  for (let beats = 0; beats < 202; beats += 1) scene.prove();
  expect(scene.state).toBe("unknown");
});

test("other facts are told, and equal ones are not", () => {
  const judge = new Judge();
  const seen = (revision: number, fact: number): boolean =>
    judge.seen({ incarnation: "A", revision, hasLeft: false, facts: Uint8Array.of(fact) });
  expect([seen(1, 1), seen(2, 1), seen(3, 2)]).toEqual([true, false, true]);
  expect(judge.alive()).toEqual([{ incarnation: "A", facts: Uint8Array.of(2) }]);
});
