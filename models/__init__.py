"""The models of the agent: multimodal chat, image generators, embeddings."""
