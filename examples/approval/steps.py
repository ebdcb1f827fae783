"""What both processes share: the payload, the workers, and the graph made of them."""

from pydantic import BaseModel, Field

from baton import Baton, Step, worker


class Decision(BaseModel):
    """What a person answers."""

    approved: bool
    by: str = Field(min_length=2)
    comment: str = ""


@worker(name="approval.ask")
async def ask(step: Step, *, title: str) -> None:
    # Send a mail or a chat message here. An answer that comes before the wait begins is kept.
    print(f"please decide on {title!r}: workflow {step.workflow_id}", flush=True)


@worker(name="approval.publish")
async def publish(step: Step, *, title: str) -> str:
    review = await step.result("review")
    if review["outcome"] == "timeout":
        return f"{title!r} was not published: nobody decided"
    decision = Decision.model_validate(review["events"]["decision"])
    verb = "published" if decision.approved else "rejected"
    return f"{title!r} was {verb} by {decision.by}"


def article(title: str) -> Baton:
    return (
        Baton(workflow_name="article")
        .add("ask", ask.new(title=title))
        .wait(
            "review",
            any_of=["decision"],
            timeout=7 * 86_400,
            payload_type=Decision,
            prompt=f"May {title!r} be published?",
            deps=["ask"],
        )
        .add("publish", publish.new(title=title), deps=["review"])
    )
