"""The records that several rooms share: plain JSON values, nothing imported.

They live in the graph's state, so they must survive strict checkpoint deserialisation, Studio and
the SDK: `TypedDict`s of strings, numbers, lists and dicts, never objects, never image bytes.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

RequirementKind = Literal["object", "count", "attribute", "relation", "text", "style", "other"]
"""What a requirement is about; GenEval's skills plus rendered text and style."""

RequirementOrigin = Literal["caller", "decomposer", "reviewer", "skill"]
"""Who asked for a requirement: the program or person that started the run, the decomposer that read
it out of the prompt, the person who edited the list, or a skill that the planner loaded."""

Answer = Literal["yes", "no", "unknown"]

VerdictSource = Literal["logprobs", "votes", "model", "dependency", "evidence", "error", "budget"]
"""What decided a verdict: token probabilities, repeated votes, one plain answer, a failed
requirement it depends on, a measuring tool, an endpoint failure, or no budget left to ask."""


EvidenceDecides = Literal["both", "yes", "no"]
"""Which answers a check may give by itself; the other one is left to the model. `no`: what is
measured is needed but not enough; `yes`: it is enough but not needed."""


class EvidenceCheck(TypedDict):
    """One declared use of an evidence tool (`gems.evidence`).

    Attributes:
        tool: The tool's name: `ocr`, `color`, `properties`, or a registered one.
        parameters: What the tool is asked: plain JSON values, checked by `settle_evidence`.
        decides: Which answers it may give by itself.
    """

    tool: str
    parameters: dict[str, Any]
    decides: EvidenceDecides


class ImageRef(TypedDict):
    """A reference to an image in the artifact store; the bytes never enter the state.

    Attributes:
        uri: Where the store keeps it (`file:///…`, `s3://…`, `memory://…`).
        sha256: Hex digest of the stored bytes; the identity of the image.
        mime: `image/png`, `image/jpeg` or `image/webp`.
        width: Pixels.
        height: Pixels.
        size: Bytes.
    """

    uri: str
    sha256: str
    mime: str
    width: int
    height: int
    size: int


class Verdict(TypedDict):
    """What the verifier found for one requirement on one image.

    Attributes:
        requirement: The requirement's id.
        answer: `yes`, `no` or `unknown`; `unknown` never counts as met.
        confidence: How sure, in 0..1, about `answer`.
        rationale: One sentence on what was seen, or why there is no answer.
        source: What decided it.
        evidence: Names of the tools that decided it; only with the source `evidence`.
    """

    requirement: str
    answer: Answer
    confidence: float
    rationale: str
    source: VerdictSource
    evidence: NotRequired[str]


class Requirement(TypedDict):
    """One atomic yes/no question that the image must answer with yes.

    Attributes:
        id: Unique within the run (`r1`, `r2`, …).
        question: A yes/no question about the image.
        kind: What it is about.
        depends_on: Ids of requirements without which this one is meaningless ("is the cat black"
            depends on "is there a cat").
        origin: Who asked for it.
        evidence: Checks by tools that measure; all of them together answer the question, and the
            model is asked only where they can't tell. Absent without any.
        verdict: The verdict on the best image; only in a finished run's output.
    """

    id: str
    question: str
    kind: RequirementKind
    depends_on: list[str]
    origin: RequirementOrigin
    evidence: NotRequired[list[EvidenceCheck]]
    verdict: NotRequired[Verdict]


class Attempt(TypedDict):
    """One generated image with everything needed to judge it and to make it again.

    Attributes:
        id: `t1r2c1`: turn 1, round 2, candidate 1.
        turn: 1-based number of the user's message on this thread.
        round: 1-based round within the turn.
        candidate: 1-based candidate within the round.
        prompt: The prompt the generator was given.
        negative_prompt: May be empty.
        seed: The seed the generator was given.
        generator: Which generator made it.
        image: Where the image is.
        skills: Names of the skills the prompt was written with.
        rationale: Why the prompt was written this way, in the model's words; may be empty.
        edited_from: Id of the attempt whose image was edited; empty for a new image.
        verdicts: In the order of the requirements; empty until scored.
        score: Fraction of requirements met, 0..1.
        confidence: Mean confidence of the verdicts, 0..1; breaks ties.
        seconds: Wall time of the generation.
    """

    id: str
    turn: int
    round: int
    candidate: int
    prompt: str
    negative_prompt: str
    seed: int
    generator: str
    image: ImageRef
    skills: list[str]
    rationale: str
    edited_from: str
    verdicts: list[Verdict]
    score: float
    confidence: float
    seconds: float


class Comparison(TypedDict):
    """Two attempts that tied, looked at side by side by the verifier's model.

    Attributes:
        turn: The turn it belongs to.
        incumbent: Id of the attempt that was the best before.
        challenger: Id of the attempt that it was compared with.
        answers: Who won with the incumbent shown first, and then with the challenger first; one
            answer when the challenger lost the first. A comparison that failed is not kept.
        winner: Id of the attempt that is the best after it: the challenger only if it won twice.
        rationale: Why, in the model's words.
    """

    turn: int
    incumbent: str
    challenger: str
    answers: list[Literal["incumbent", "challenger", "neither"]]
    winner: str
    rationale: str


class Experience(TypedDict):
    """What one round taught, compressed by the summarizer (paper, Agent Memory).

    Attributes:
        turn: The turn it belongs to.
        round: The round it was learned in.
        text: At most 100 words.
    """

    turn: int
    round: int
    text: str


class RoleUsage(TypedDict):
    """What one role has used so far.

    Attributes:
        calls: Model calls (image generations for the role `generator`).
        input_tokens: As the endpoint reports them; 0 where it reports none.
        output_tokens: Likewise, reasoning included.
        seconds: Summed wall time of the calls (parallel calls add up).
        image_bytes: Bytes of the encoded images in the requests to chat models, before base64 and
            with every retry; 0 in what was counted before this field was there.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    seconds: float
    image_bytes: int


Usage = dict[str, RoleUsage]
"""Usage by role: planner, decomposer, generator, verifier, summarizer, refiner, recall."""
