"""The term on images without labels: write yours in place of this one."""


def entropy(logits):
    """Return the mean entropy of predictions in nats (Grandvalet and Bengio 2004): sure predictions are rewarded.

    A term that also asks for `scores` is given those of the discriminator, (N, 1, H, W), for the predictions.

    - logits: (N, K, H, W)
    - returns: a scalar
    """
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1).mean()
