"""Bedrock's Converse dialect (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html), client and server in one.

The model's name and whether the answer is streamed stand in the path, not in the body; whoever owns the path adds them.

Not here: HTTP, signatures (`wire.aws_sigv4`), the frames of streams (`wire.aws_event_stream`), models' own shapes behind InvokeModel.
"""
