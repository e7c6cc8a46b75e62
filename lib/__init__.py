"""The work behind the notebooks. Each stage of the pipeline has a package of its own.

    errors     errors that are shown as one line
    schema     the records that are stored, such as Slot, Sample and Verdict
    taxonomy   the subjects and the kinds of misconception
    settings   every parameter of a run, and which part of a run it decides
    prompts    the prompts as files, and the answers that they ask for
    validate   any file in the chat format -> its problems
    run        a run's settings, folder, files and manifest
    llm        `ask`, the one function through which every call to a model goes
    generate   notebook 01: seeds -> plan -> scenarios, verified -> samples
    filter     notebook 02: samples -> gates -> judge -> kept or dropped
    analyze    notebook 03: a filtered run -> tables -> rates, figures, trust in the judge
    publish    notebook 04: kept samples -> train and validation, data card; and the page to browse all samples
    evaluate   notebook 05: candidates answer held-out rows -> judge -> scores with intervals
    show       what the notebooks display
    commands   what `make` calls

A file imports only from names above its own in this list, or from its own folder.
"""
