"""A graph as LangGraph's templates begin: one node that asks a model. The model counts, and is not paid for."""

import asyncio

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph


class Counting(BaseChatModel):
    """Answers with the first four characters of what was said, sixty times."""

    @property
    def _llm_type(self):
        return "counting"

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        text = str(messages[-1].content)
        for number in range(60):
            word = f"{text[:4]}{number} "
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=word))
            if run_manager:
                await run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
            await asyncio.sleep(0.04)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        raise NotImplementedError("the server streams")


model = Counting()


async def answer(state: MessagesState):
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").add_edge("answer", END).compile()
